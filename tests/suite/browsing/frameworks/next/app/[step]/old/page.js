import { redirect } from 'next/navigation';

export default async function Old({ params }) {
  redirect(`/${(await params).step}/posts/1`);
}
