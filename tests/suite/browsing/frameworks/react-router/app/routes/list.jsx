import { Here } from '../here';

export function loader({ request, params: { step } }) {
  const page = Number(new URL(request.url).searchParams.get('page') ?? 1);
  return { at: `/${step}/list`, page, links: { next: `list?page=${page + 1}`, go: 'posts/1' } };
}

export default function List({ loaderData: { at, links, page } }) {
  return (
    <Here at={at} links={links}>
      <p id={`page-${page}`}>Page {page}</p>
    </Here>
  );
}
