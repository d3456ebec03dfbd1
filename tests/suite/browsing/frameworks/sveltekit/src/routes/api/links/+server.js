import { json } from '@sveltejs/kit';

export const GET = () => json({ go: 'posts/1' });
