import { redirect } from 'react-router';

export const loader = ({ params: { step } }) => redirect(`/${step}/posts/1`);
