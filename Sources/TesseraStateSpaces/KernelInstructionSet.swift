import CKernels

/// The instruction set that the loops of state spaces run with; all give the same bits.
enum KernelInstructionSet {
  static let best: ckernels_isa =
    [CKERNELS_AVX512, CKERNELS_AVX2].first(where: ckernels_supports) ?? CKERNELS_BASELINE
}
