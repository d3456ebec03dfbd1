export default defineEventHandler((event) => {
  const slug = getRouterParam(event, 'slug');
  if (slug === 'none') throw createError({ statusCode: 404, statusMessage: 'No such post' });
  return { next: Number(slug) + 1 };
});
