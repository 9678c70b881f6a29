// The bits of an infinity; those of a NaN are above.
const INFINITY = 0x7f800000u;
