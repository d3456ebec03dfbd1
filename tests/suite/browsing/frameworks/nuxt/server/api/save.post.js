export default defineEventHandler(() => ({ saved: true }));
