// Its data comes from an endpoint of its own.
export const load = async ({ params: { step }, fetch }) => {
  const links = await (await fetch('/api/links')).json();
  return { at: `/${step}/guide`, links };
};
