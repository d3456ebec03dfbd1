import Here from '../../here';

const links = { go: 'posts/1', list: 'list', form: 'form', static: 'about', guide: 'guide', old: 'old', none: 'posts/none', missing: 'missing' };

export default async function Home({ params }) {
  const { step } = await params;
  return <Here at={`/${step}/home`} links={links} />;
}
