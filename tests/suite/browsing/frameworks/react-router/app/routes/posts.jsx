import { Page } from '../here';

export const loader = ({ params: { step, slug } }) => {
  if (slug === 'none') throw new Response('No such post', { status: 404 });
  return { at: `/${step}/posts/${slug}`, links: { go: `posts/${Number(slug) + 1}`, home: 'home' } };
};

export default Page;
