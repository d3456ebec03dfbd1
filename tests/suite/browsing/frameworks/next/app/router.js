'use client';

import { useRouter } from 'next/navigation';
import { useEffect } from 'react';

// For steps that go somewhere by script.
export default function Router() {
  const router = useRouter();
  useEffect(() => {
    window.there = { push: router.push, refresh: router.refresh };
  }, [router]);
  return null;
}
