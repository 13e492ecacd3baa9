import CKernels
import TesseraCore

/// A matrix whose parts below and above the diagonal have rank 1, as a Legendre or Laguerre system:
/// A[n, k] = -lower[n] collect[k] below, -upper[n] gather[k] above, -diagonal[n] on it.
struct SemiseparableMatrix {
  let lower: [Double]
  let collect: [Double]
  let upper: [Double]
  let gather: [Double]
  let diagonal: [Double]

  /// The matrix of a measure in orthonormal scaling; nil where it has no such structure.
  init?(_ system: HippoSystem) {
    let order = 0..<system.order
    let norms = order.map(HippoSystem.norm)
    let zeros = norms.map { _ in 0.0 }
    switch system.measure {
    case .legs:
      (lower, collect, upper, gather) = (norms, norms, zeros, zeros)
      diagonal = order.map { Double($0 + 1) }
    case .legt, .lmu:
      let scaled = norms.map { $0 / system.window }
      func flipped(_ values: [Double]) -> [Double] {
        order.map { $0 % 2 == 0 ? values[$0] : -values[$0] }
      }
      (lower, collect, upper, gather) = (scaled, norms, flipped(scaled), flipped(norms))
      diagonal = order.map { Double(2 * $0 + 1) / system.window }
    case .lagt:
      let ones = zeros.map { $0 + 1 }
      (lower, collect, upper, gather) = (ones, ones, zeros, zeros)
      diagonal = order.map { _ in (1 + system.tilt) / 2 }
    default: return nil
    }
  }
}

/// (I - λ A)^-1 or I + λ A of such a matrix, applied in O(N) by two sweeps; see `ckernels_sweeps`.
final class SweepOperator {
  private let backward, gather, direct, fromLeft, fromRight, forward, collect, cross: DoubleStorage

  private init(_ rows: [Row]) {
    backward = DoubleStorage(rows.map(\.backward))
    gather = DoubleStorage(rows.map(\.gather))
    direct = DoubleStorage(rows.map(\.direct))
    fromLeft = DoubleStorage(rows.map(\.fromLeft))
    fromRight = DoubleStorage(rows.map(\.fromRight))
    forward = DoubleStorage(rows.map(\.forward))
    collect = DoubleStorage(rows.map(\.collect))
    cross = DoubleStorage(rows.map(\.cross))
  }

  private struct Row {
    var backward, gather, direct, fromLeft, fromRight, forward, collect, cross: Double
  }

  /// I + λ A.
  convenience init(explicit scale: Double, _ a: SemiseparableMatrix) {
    self.init(
      a.diagonal.indices.map { n in
        Row(
          backward: 1,
          gather: a.gather[n],
          direct: 1 - scale * a.diagonal[n],
          fromLeft: -scale * a.lower[n],
          fromRight: -scale * a.upper[n],
          forward: 1,
          collect: a.collect[n],
          cross: 0
        )
      }
    )
  }

  /// (I - λ A)^-1.
  ///
  /// From the right, what lies above is kept as a function g = η f + γ of the sum f of what lies
  /// below (a Riccati recursion), so that no step depends on a sum that is yet to be found.
  convenience init(implicit scale: Double, _ a: SemiseparableMatrix) {
    var slope = 0.0
    var rows: [Row] = []
    for n in a.diagonal.indices.reversed() {
      let left = scale * (a.lower[n] + a.upper[n] * slope)
      let right = scale * a.upper[n]
      let passed = slope * a.collect[n] + a.gather[n]
      let pivot = 1 / (1 + scale * a.diagonal[n] + right * slope * a.collect[n])
      rows.append(
        Row(
          backward: 1 - passed * pivot * right,
          gather: passed * pivot,
          direct: pivot,
          fromLeft: -pivot * left,
          fromRight: -pivot * right,
          forward: 1 - a.collect[n] * pivot * left,
          collect: a.collect[n] * pivot,
          cross: -a.collect[n] * pivot * right
        )
      )
      slope -= passed * pivot * left
    }
    self.init(rows.reversed())
  }

  /// The pointers for the kernel; valid as long as the operator lives.
  var sweeps: ckernels_sweeps {
    unsafe ckernels_sweeps(
      backward: backward.pointer,
      gather: gather.pointer,
      direct: direct.pointer,
      from_left: fromLeft.pointer,
      from_right: fromRight.pointer,
      forward: forward.pointer,
      collect: collect.pointer,
      cross: cross.pointer
    )
  }
}
