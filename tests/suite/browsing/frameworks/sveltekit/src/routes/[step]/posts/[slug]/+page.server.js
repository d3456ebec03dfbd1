import { error } from '@sveltejs/kit';

export const load = ({ params: { step, slug } }) => {
  if (slug === 'none') error(404, 'No such post');
  return { at: `/${step}/posts/${slug}`, links: { go: `posts/${Number(slug) + 1}`, home: 'home' } };
};
