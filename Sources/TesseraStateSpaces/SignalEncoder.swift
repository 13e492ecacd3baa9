import CKernels
package import TesseraCore

/// The states of a system after each sample of a signal, a block of samples at a time.
///
/// O(N) a step for LegS in every convention, for legs, legt, lmu, fout and lagt by backward Euler,
/// bilinear and GBT rules, and for diagonal systems; `zoh` of the others multiplies by a dense Ā. O(N³) a step for
/// fourier-full, and LegS by a rule with weights, with their factor 1/t.
package final class SignalEncoder {
  /// How the state is stepped.
  package enum Stepping: Hashable, Sendable {
    /// Constant coefficients.
    case constant(DiscretizationMethod, step: Double)
    /// With the factor 1/t of legs and fourier-full.
    case varying(VaryingRule)
  }

  /// The loop that steps the states, and what it needs.
  enum Kernel {
    case legs(ckernels_legs_convention, exactSteps: UInt64)
    case sweeps(
      SweepOperator,
      keep: Double,
      take: Double,
      input: DoubleStorage,
      after: DoubleStorage
    )
    case rotation(Rotation)
    /// Matrices of their own for each step.
    case varying(VaryingSystem)
    case dense(columns: DoubleStorage, input: DoubleStorage)
  }

  /// Pairs of states that turn, minus a product of rank 1.
  struct Rotation {
    let cosines, sines, input, ends, gains: DoubleStorage
    let keep, take: Double
  }

  /// The extents of one channel's state: [N], or [modes, 2].
  package let stateShape: [Int]
  /// The channels of the signal.
  package let channels: Int
  let system: HippoSystem
  let kernel: Kernel
  /// The doubles of one channel's state, and the same up to whole vectors.
  let doubles, padded: Int
  /// What the doubles are multiplied with as they are written.
  let scales: DoubleStorage
  let norms: DoubleStorage
  let scratch: DoubleStorage
  /// The state of each channel, in orthonormal scaling.
  let states: [DoubleStorage]
  /// The most states of all channels: 512 MiB.
  private static let largestRow = 1 << 26
  /// The samples seen.
  package internal(set) var seen = 0

  /// Prepares the steps of a system.
  ///
  /// - Parameters:
  ///   - system: The measure.
  ///   - stepping: How to step it.
  ///   - channels: The signals that are encoded side by side.
  /// - Throws: `TesseraError` where the system cannot be stepped so, or has too many states.
  package init(
    _ system: HippoSystem,
    stepping: Stepping,
    channels: Int
  ) throws(TesseraError) {
    let (count, overflow) = channels.multipliedReportingOverflow(by: system.order)
    guard channels > 0, !overflow, count <= SignalEncoder.largestRow else {
      throw .limit(
        "\(channels) channels of \(system.order) states are more than \(SignalEncoder.largestRow) "
          + "together; encode fewer channels at once"
      )
    }
    (self.system, self.channels) = (system, channels)
    let isPaired = system.measure.isComplex
    doubles = isPaired ? 2 * system.order : system.order
    padded = (doubles + 7) / 8 * 8
    stateShape =
      isPaired
      ? [system.order, 2] : system.measure.isDiagonal ? [system.order / 2, 2] : [system.order]
    scales = DoubleStorage(SignalEncoder.scales(of: system, count: doubles))
    norms = DoubleStorage((0..<system.order).map(HippoSystem.norm))
    scratch = DoubleStorage(zeros: 2 * (padded + 8))
    let padded = padded
    states = (0..<channels).map { _ in DoubleStorage(zeros: padded) }
    switch stepping {
    case .varying(let rule): kernel = try SignalEncoder.varying(system, rule)
    case .constant(let method, let step):
      kernel = try SignalEncoder.constant(system, method, step: step, padded: padded)
    }
  }

  /// What a state in orthonormal scaling is multiplied with in a form.
  private static func scales(of system: HippoSystem, count: Int) -> [Double] {
    (0..<count).map { n in
      switch system.measure == .lmu ? .lmu : system.form {
      case .paper: 1
      case .blog: system.measure.isComplex ? 1 : 2.0.squareRoot()
      case .integer: HippoSystem.norm(n)
      case .lmu: n % 2 == 0 ? HippoSystem.norm(n) : -HippoSystem.norm(n)
      }
    }
  }
}
