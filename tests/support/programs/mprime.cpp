// The mprime image: burns one processor for ever with Lucas-Lehmer tests of small exponents, as `/mprime -t` does.
#include <unistd.h>

#include <cstdint>
#include <cstdio>

namespace {

std::uint64_t multiply(std::uint64_t a, std::uint64_t b, std::uint64_t modulus) {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(a) * b % modulus);
}

bool is_mersenne_prime(unsigned exponent) {
  const std::uint64_t mersenne = (std::uint64_t{1} << exponent) - 1;
  std::uint64_t s = 4;
  for (unsigned i = 2; i < exponent; ++i) s = (multiply(s, s, mersenne) + mersenne - 2) % mersenne;
  return exponent == 2 || s == 0;
}

}  // namespace

int main() {
  if (nice(10) < 0) return 1;
  std::puts("torture test: Lucas-Lehmer of exponents 3 to 61, over and over");
  std::fflush(stdout);
  volatile unsigned long found = 0;  // the work must have an effect, or the compiler may drop the loop
  for (;;) {
    for (unsigned exponent = 3; exponent <= 61; exponent += 2) found = found + is_mersenne_prime(exponent);
  }
}
