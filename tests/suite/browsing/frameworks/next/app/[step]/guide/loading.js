export default function Loading() {
  return <p>A moment…</p>;
}
