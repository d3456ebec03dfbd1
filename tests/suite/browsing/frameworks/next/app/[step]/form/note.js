'use client';

import { useActionState } from 'react';

export default function Note({ check }) {
  const [said, act] = useActionState(check, null);
  return (
    <form action={act}>
      <button id="stay">Check</button>
      {said && <p id="said">{said}</p>}
    </form>
  );
}
