import { notFound } from 'next/navigation';
import Here from '../../../here';

export default async function Post({ params }) {
  const { step, slug } = await params;
  if (slug === 'none') notFound();
  return <Here at={`/${step}/posts/${slug}`} links={{ go: `posts/${Number(slug) + 1}`, home: 'home' }} />;
}
