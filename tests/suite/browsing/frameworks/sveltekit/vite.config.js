import adapter from '@sveltejs/adapter-node';
import { sveltekit } from '@sveltejs/kit/vite';
import { defineConfig } from 'vite';

// What is under /_/ is not here when pages are built ahead.
const prerender = { handleHttpError: 'ignore' };

export default defineConfig({ plugins: [sveltekit({ adapter: adapter(), prerender })] });
