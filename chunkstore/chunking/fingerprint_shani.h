// SHA-256 (FIPS 180-4) of two messages at once, by the SHA instructions of x86.
//
// One message leaves the unit idle while each round waits for the one before; the rounds of a
// second message fill the gaps. Plain types only, for the reason in chunker_kernels.h.
//
// Thread safety: pure functions.
// Units:         bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dedupfs {

// False too where the program was built for another processor.
bool CpuHasShaNi();

// Requires CpuHasShaNi(). The two may differ in size; each output takes 32 bytes.
void Sha256PairShaNi(const uint8_t* first, size_t first_size, const uint8_t* second,
                     size_t second_size, uint8_t* first_out, uint8_t* second_out);

}  // namespace dedupfs
