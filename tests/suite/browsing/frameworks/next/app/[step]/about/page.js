import Here from '../../here';

// Built ahead.
export const generateStaticParams = () => ['static', 'static-not-followed', 'static-last'].map((id) => ({ step: `next-${id}` }));

export default async function About({ params }) {
  const { step } = await params;
  return <Here at={`/${step}/about`} links={{ go: 'posts/1' }} />;
}
