export const load = ({ params: { step }, url }) => {
  const page = Number(url.searchParams.get('page') ?? 1);
  return { at: `/${step}/list`, page, links: { next: `list?page=${page + 1}`, go: 'posts/1' } };
};
