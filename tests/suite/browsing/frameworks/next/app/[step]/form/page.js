import { redirect } from 'next/navigation';
import Here from '../../here';
import Note from './note';

export default async function Form({ params }) {
  const { step } = await params;
  async function send() {
    'use server';
    redirect(`/${step}/done`);
  }
  async function check() {
    'use server';
    return 'Checked';
  }
  return (
    <Here at={`/${step}/form`}>
      <form action={send}><button id="go">Send</button></form>
      <Note check={check} />
    </Here>
  );
}
