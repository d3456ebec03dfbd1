import Here from '../../here';

export default async function Done({ params }) {
  const { step } = await params;
  return <Here at={`/${step}/done`} links={{ go: 'home' }} />;
}
