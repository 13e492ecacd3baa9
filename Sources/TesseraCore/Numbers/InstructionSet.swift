package import CKernels

/// The processor instructions that a network computes with; all give the same bits.
package enum InstructionSet: String, Hashable, Sendable, CaseIterable {
  /// What every processor of the architecture has: NEON on Arm; on x86-64 without FMA, and slow.
  case baseline
  /// AVX2 with FMA.
  case avx2
  /// AVX-512 F, DQ, BW and VL.
  case avx512

  /// The fastest that this processor has.
  package static let best: InstructionSet = allCases.last { $0.isSupported } ?? .baseline

  /// Whether this processor has the instructions.
  package var isSupported: Bool { ckernels_supports(kernels) }

  /// The value by which the kernels know it.
  package var kernels: ckernels_isa {
    switch self {
    case .baseline: CKERNELS_BASELINE
    case .avx2: CKERNELS_AVX2
    case .avx512: CKERNELS_AVX512
    }
  }
}
