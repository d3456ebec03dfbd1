import { Page } from '../here';

export const loader = ({ params: { step } }) => ({ at: `/${step}/done`, links: { go: 'home' } });

export default Page;
