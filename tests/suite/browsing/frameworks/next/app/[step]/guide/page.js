import { connection } from 'next/server';
import Here from '../../here';

export default async function Guide({ params }) {
  const { step } = await params;
  await connection();
  return <Here at={`/${step}/guide`} links={{ go: 'posts/1' }} />;
}
