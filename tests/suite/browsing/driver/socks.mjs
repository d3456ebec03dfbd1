// A SOCKS5 proxy (RFC 1928) that takes every name for this machine. What it carries it leaves as it is.

import { connect, createServer } from 'node:net';

export class Socks {
  static async start() {
    const socks = new Socks();
    socks.server = createServer((socket) => greet(socket));
    socks.port = await new Promise((resolve) =>
      socks.server.listen(0, '127.0.0.1', () => resolve(socks.server.address().port)),
    );
    return socks;
  }

  close() {
    this.server.close();
  }
}

async function greet(socket) {
  const end = () => socket.destroy();
  socket.on('error', end);
  const read = reader(socket);
  // The version and how many ways there are to prove who one is; nobody has to.
  const [, ways] = await read(2);
  await read(ways);
  socket.write(Buffer.from([5, 0]));
  const [, command, , kind] = await read(4);
  const length = { 1: 4, 4: 16 }[kind] ?? (await read(1))[0];
  await read(length);
  const port = (await read(2)).readUInt16BE();
  const answer = (code) => Buffer.from([5, code, 0, 1, 127, 0, 0, 1, 0, 0]);
  if (command !== 1) return socket.end(answer(7));
  const target = connect(port, '127.0.0.1');
  target.on('error', end);
  target.once('connect', () => {
    socket.write(answer(0));
    read.rest(target);
    target.pipe(socket);
  });
  target.once('close', end);
  socket.once('close', () => target.destroy());
}

// Reads so many bytes at a time, and then the rest as it comes.
function reader(socket) {
  let bytes = Buffer.alloc(0);
  let enough = () => {};
  const take = (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    enough();
  };
  socket.on('data', take);
  const read = (count) =>
    new Promise((resolve) => {
      enough = () => {
        if (bytes.length < count) return;
        enough = () => {};
        const head = bytes.subarray(0, count);
        bytes = bytes.subarray(count);
        resolve(head);
      };
      enough();
    });
  read.rest = (target) => {
    socket.off('data', take);
    target.write(bytes);
    socket.pipe(target);
  };
  return read;
}
