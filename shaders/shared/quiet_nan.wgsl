// What stands where a number is lost.
const QUIET_NAN = 0x7fc00000u;
