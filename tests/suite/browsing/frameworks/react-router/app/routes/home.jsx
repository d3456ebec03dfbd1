import { Page } from '../here';

const links = { go: 'posts/1', list: 'list', form: 'form', static: 'about', guide: 'guide', bare: 'bare', old: 'old', none: 'posts/none', missing: 'missing' };

export const loader = ({ params: { step } }) => ({ at: `/${step}/home`, links });

export default Page;
