import { redirect } from '@sveltejs/kit';

export const load = ({ params: { step } }) => redirect(307, `/${step}/posts/1`);
