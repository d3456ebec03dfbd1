import { Page } from '../here';

export const loader = ({ params: { step } }) => ({ at: `/${step}/guide`, links: { go: 'posts/1' } });

// With a loader in the browser, which asks for the one of the server.
export const clientLoader = ({ serverLoader }) => serverLoader();

export default Page;
