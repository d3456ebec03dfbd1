import Here from '../../here';

export default async function List({ params, searchParams }) {
  const { step } = await params;
  const page = Number((await searchParams).page ?? 1);
  return (
    <Here at={`/${step}/list`} links={{ next: `list?page=${page + 1}`, go: 'posts/1' }}>
      <p id={`page-${page}`}>Page {page}</p>
    </Here>
  );
}
