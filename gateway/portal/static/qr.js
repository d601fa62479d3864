"use strict";
// QR codes of bytes, by ISO/IEC 18004:2015 (clauses and tables are of that edition): versions 1 to 40, byte mode,
// levels L and M. Here and not on the server, for what is drawn holds a private key.
const Qr = (() => {
  // Table 9, a number for each version from 1: error correction codewords of each block, and blocks. `format`: what
  // table 12 calls the level in the format information.
  const LEVELS = {
    L: {
      format: 1,
      check: [
        7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28,
        28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30,
      ],
      blocks: [
        1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8,
        8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25,
      ],
    },
    M: {
      format: 0,
      check: [
        10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26,
        26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28,
      ],
      blocks: [
        1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16,
        17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49,
      ],
    },
  };

  // Table 10, with x as column and y as row.
  const MASKS = [
    (x, y) => (x + y) % 2,
    (x, y) => y % 2,
    (x) => x % 3,
    (x, y) => (x + y) % 3,
    (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2,
    (x, y) => ((x * y) % 2) + ((x * y) % 3),
    (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2,
    (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
  ];

  // The field of 256 elements by x^8 + x^4 + x^3 + x^2 + 1, as powers of x and their logarithms.
  const POWER = new Uint8Array(510);
  const LOG = new Uint8Array(256);
  for (let exponent = 0, value = 1; exponent < 255; exponent++) {
    POWER[exponent] = POWER[exponent + 255] = value;
    LOG[value] = exponent;
    value = (value << 1) ^ (value & 0x80 ? 0x11d : 0);
  }
  const times = (a, b) => (a && b ? POWER[LOG[a] + LOG[b]] : 0);

  // 7.5.2: the product of (x - x^i), i < degree, without its leading 1, highest power first.
  function generator(degree) {
    let found = Uint8Array.of(1);
    for (let i = 0; i < degree; i++) {
      const next = new Uint8Array(found.length + 1);
      found.forEach((value, k) => {
        next[k] ^= value;
        next[k + 1] ^= times(value, POWER[i]);
      });
      found = next;
    }
    return found.subarray(1);
  }

  function remainder(data, divisor) {
    const rest = new Uint8Array(divisor.length);
    for (const value of data) {
      const factor = value ^ rest[0];
      rest.copyWithin(0, 1);
      rest[rest.length - 1] = 0;
      divisor.forEach((term, i) => { rest[i] ^= times(term, factor); });
    }
    return rest;
  }

  // A BCH code word: `value` with `bits` bits of remainder by `divisor` behind it (annexes C and D).
  function withRemainder(value, bits, divisor) {
    let rest = value << bits;
    for (let i = 31 - Math.clz32(divisor), top = 31; top >= i; top--) {
      if ((rest >>> top) & 1) rest ^= divisor << (top - i);
    }
    return (value << bits) | rest;
  }

  // Annex E: centres of alignment patterns, in both directions.
  function centres(version) {
    if (version === 1) return [];
    const size = 4 * version + 17;
    const many = Math.floor(version / 7) + 2;
    const step = version === 32 ? 26 : 2 * Math.ceil((size - 13) / (2 * (many - 1)));
    const found = [6];
    for (let i = many - 2; i >= 0; i--) found.push(size - 7 - i * step);
    return found;
  }

  // The symbol with all that is not data; `taken` tells where that is.
  function frame(version) {
    const size = 4 * version + 17;
    const dark = Array.from({ length: size }, () => new Uint8Array(size));
    const taken = Array.from({ length: size }, () => new Uint8Array(size));
    const set = (x, y, value) => {
      if (x < 0 || y < 0 || x >= size || y >= size) return;
      dark[y][x] = value ? 1 : 0;
      taken[y][x] = 1;
    };
    const square = (x, y, radius, light) => {
      for (let dy = -radius; dy <= radius; dy++) {
        for (let dx = -radius; dx <= radius; dx++) {
          set(x + dx, y + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
        }
      }
    };
    for (let i = 0; i < size; i++) {
      set(6, i, i % 2 === 0);
      set(i, 6, i % 2 === 0);
    }
    for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) square(x, y, 4, [2, 4]);
    const at = centres(version);
    const last = at[at.length - 1];
    for (const x of at) {
      for (const y of at) {
        // Not where finder patterns are: three of the corners.
        const corner = (x === 6 || x === last) && (y === 6 || y === last);
        if (!corner || (x === last && y === last)) square(x, y, 2, [1]);
      }
    }
    if (version >= 7) {
      const bits = withRemainder(version, 12, 0x1f25);
      for (let i = 0; i < 18; i++) {
        const near = Math.floor(i / 3), far = size - 11 + (i % 3);
        set(near, far, (bits >>> i) & 1);
        set(far, near, (bits >>> i) & 1);
      }
    }
    const symbol = { version, size, dark, taken, set };
    format(symbol, 0, 0);
    return symbol;
  }

  // 7.9: level and mask, twice, and the module that is always dark.
  function format({ size, set }, level, mask) {
    const bits = withRemainder((level << 3) | mask, 10, 0x537) ^ 0x5412;
    for (let i = 0; i < 15; i++) {
      const bit = (bits >>> i) & 1;
      if (i < 8) {
        set(8, i < 6 ? i : i + 1, bit);
        set(size - 1 - i, 8, bit);
      } else {
        set(i === 8 ? 7 : 14 - i, 8, bit);
        set(8, size - 15 + i, bit);
      }
    }
    set(8, size - 8, 1);
  }

  // 7.7.3: where data goes, two columns at a time from the right, up and down in turn.
  function* places({ size, taken }) {
    let up = true;
    for (let right = size - 1; right > 0; right -= 2) {
      if (right === 6) right = 5;
      for (let i = 0; i < size; i++) {
        const y = up ? size - 1 - i : i;
        for (const x of [right, right - 1]) if (!taken[y][x]) yield [x, y];
      }
      up = !up;
    }
  }

  // 7.4 and 7.5: bytes as codewords with their error correction, in the order of 7.6.
  function codewords(bytes, version, level) {
    const { check, blocks } = LEVELS[level];
    const each = check[version - 1], many = blocks[version - 1];
    const room = codewordsOf(version) - each * many;
    const data = new Uint8Array(room);
    let bit = 0;
    const put = (value, length) => {
      for (let i = length - 1; i >= 0; i--, bit++) data[bit >>> 3] |= ((value >>> i) & 1) << (7 - (bit & 7));
    };
    put(4, 4);
    put(bytes.length, lengthBits(version));
    bytes.forEach((value) => put(value, 8));
    bit = Math.min(bit + 4, 8 * room);
    for (let i = Math.ceil(bit / 8), pad = 0xec; i < room; i++, pad ^= 0xec ^ 0x11) data[i] = pad;

    const divisor = generator(each);
    const short = Math.floor(room / many), long = room % many;
    const parts = [];
    for (let i = 0, start = 0; i < many; i++) {
      const end = start + short + (i >= many - long ? 1 : 0);
      parts.push(data.subarray(start, end));
      start = end;
    }
    const checks = parts.map((part) => remainder(part, divisor));
    const found = [];
    for (let i = 0; i <= short; i++) for (const part of parts) if (i < part.length) found.push(part[i]);
    for (let i = 0; i < each; i++) for (const part of checks) found.push(part[i]);
    return found;
  }

  // 7.8.3.1: how badly a symbol can be told from its surroundings and from noise.
  function penalty(dark, size) {
    const rows = dark.map((row) => row.join(""));
    const columns = rows.map((_, x) => dark.map((row) => row[x]).join(""));
    let sum = 0;
    for (const line of [...rows, ...columns]) {
      for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
      sum += 40 * [...line.matchAll(/(?=10111010000|00001011101)/g)].length;
    }
    let many = 0;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        many += dark[y][x];
        if (x && y) {
          const around = dark[y][x] + dark[y][x - 1] + dark[y - 1][x] + dark[y - 1][x - 1];
          if (around % 4 === 0) sum += 3;
        }
      }
    }
    return sum + 10 * Math.floor(Math.abs((100 * many) / (size * size) - 50) / 5);
  }

  // Codewords of a version: the modules that 5.3 leaves of the square, by eights.
  function codewordsOf(version) {
    const size = 4 * version + 17, many = centres(version).length;
    let modules = size * size - 3 * 64 - 2 * (size - 16) - 31;
    if (many) modules -= 25 * (many * many - 3) - 10 * (many - 2);
    if (version >= 7) modules -= 36;
    return Math.floor(modules / 8);
  }

  const lengthBits = (version) => (version < 10 ? 8 : 16);

  // Version and level of the smallest symbol that holds so many bytes, at level M where that is no larger than at L;
  // null where none does.
  function choose(length) {
    for (let version = 1; version <= 40; version++) {
      for (const level of ["M", "L"]) {
        const { check, blocks } = LEVELS[level];
        const room = codewordsOf(version) - check[version - 1] * blocks[version - 1];
        if (4 + lengthBits(version) + 8 * length <= 8 * room) return [version, level];
      }
    }
    return null;
  }

  // The symbol of `bytes`; null where they are too many.
  function encode(bytes) {
    const chosen = choose(bytes.length);
    return chosen && masked(frame(chosen[0]), codewords(bytes, ...chosen), chosen[1]);
  }

  // 7.8: with the mask of the eight that disturbs least.
  function masked(symbol, words, level) {
    const { version, size, dark } = symbol;
    const where = [...places(symbol)];
    let best = null;
    MASKS.forEach((mask, number) => {
      where.forEach(([x, y], i) => {
        const bit = (words[i >>> 3] >>> (7 - (i & 7))) & 1;
        dark[y][x] = bit ^ (mask(x, y) === 0 ? 1 : 0);
      });
      format(symbol, LEVELS[level].format, number);
      const cost = penalty(dark, size);
      if (!best || cost < best.cost) best = { cost, mask: number, rows: dark.map((row) => [...row]) };
    });
    return { version, level, size, mask: best.mask, rows: best.rows };
  }

  // A symbol as an SVG element, with the quiet zone of 4 modules that 5.3.8 asks for.
  function svg({ size, rows }) {
    const space = "http://www.w3.org/2000/svg";
    const root = document.createElementNS(space, "svg");
    root.setAttribute("viewBox", `-4 -4 ${size + 8} ${size + 8}`);
    root.setAttribute("shape-rendering", "crispEdges");
    const path = document.createElementNS(space, "path");
    const steps = [];
    rows.forEach((row, y) => {
      for (const run of row.join("").matchAll(/1+/g)) steps.push(`M${run.index} ${y}h${run[0].length}v1h-${run[0].length}z`);
    });
    path.setAttribute("d", steps.join(""));
    path.setAttribute("fill", "#000");
    root.append(path);
    return root;
  }

  return { choose, encode, svg };
})();
