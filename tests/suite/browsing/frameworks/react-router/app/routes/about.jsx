import { Page } from '../here';

export const loader = ({ params: { step } }) => ({ at: `/${step}/about`, links: { go: 'posts/1' } });

export default Page;
