internal import CKernels
internal import Foundation
package import TesseraCore

/// What a kernel does, for the share of time that each kind takes.
package enum KernelKind: String, Hashable, Sendable, CaseIterable {
  /// Haar transform and conversion between channels last and the kernels' blocks.
  case layout
  /// 1x1 convolution.
  case pointwise
  /// 3x3 convolution as one product.
  case direct
  /// 3x3 convolution by Winograd's algorithm.
  case winograd
  /// GroupNorm and SiLU.
  case normalization
  /// Attention products and softmax.
  case attention
}

/// How long one call of a kernel took.
package struct KernelTiming: Sendable {
  /// What the kernel does.
  package let kind: KernelKind
  /// The multiply-adds of the call, counted as those of a direct convolution; 0 for other work.
  package let multiplyAdds: Int
  /// The processor time it took, which other processes do not lengthen.
  package let duration: Duration
}

extension NetworkWorkspace {
  /// Runs the network on one image and says how long each kernel took, in order.
  ///
  /// - Parameters:
  ///   - input: As for `run`.
  ///   - output: As for `run`.
  /// - Returns: One timing a kernel call.
  /// - Throws: As `run`.
  package func timings(
    of input: [Float],
    into output: inout [Float]
  ) throws(TesseraError) -> [KernelTiming] {
    var timings: [KernelTiming] = []
    try run(input, into: &output) { step, work in
      let begin = processorTime()
      work()
      let duration = processorTime() - begin
      let (kind, multiplyAdds) = (step?.kind ?? .layout, step?.multiplyAdds ?? 0)
      timings.append(KernelTiming(kind: kind, multiplyAdds: multiplyAdds, duration: duration))
    }
    return timings
  }
}

/// The processor time of this thread.
private func processorTime() -> Duration {
  var time = timespec()
  unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}

extension InstructionSet {
  /// Runs fused multiply-adds in registers alone: the most that a core can do.
  ///
  /// - Parameter rounds: How often twelve independent vectors are multiplied and added.
  /// - Returns: The floating-point operations done, two for each multiply-add of each lane.
  package func multiplyAddLoop(rounds: Int) -> Double {
    precondition(isSupported, "this processor has no \(rawValue)")
    var sink: Float = 0.001
    return unsafe ckernels_fma_loop(kernels, rounds, &sink)
  }
}
