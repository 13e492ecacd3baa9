import TesseraCore

/// x[k+1] = Ā x[k] of one channel of a diagonal-plus-low-rank system, in O(modes) a step.
///
/// Ā = (I - λM)^-1 (I + μM) with M = diag(Λ, Λ̄) - Σ p p*. Over conjugate halves every p* x is real,
/// so Woodbury's identity needs a real matrix of the size of the rank.
struct LowRankRecurrence {
  private let inverse: [ComplexNumber]
  private let explicit: [ComplexNumber]
  private let p: [[ComplexNumber]]
  /// (I - λΛ)^-1 p, one a rank.
  private let turned: [[ComplexNumber]]
  /// λ (I + λ p* D^-1 p)^-1.
  private let core: Matrix
  private let weight: Double
  private let step: Double
  private let b: [ComplexNumber]
  /// The rows of C.
  private let outputs: [[ComplexNumber]]

  init(
    _ system: LowRankSystem,
    _ channel: Int,
    weight: Double,
    step: Double
  ) throws(TesseraError) {
    let lambda = system.lambda(channel)
    let implicit = weight * step
    let p = system.p(channel)
    let inverse = lambda.map { ComplexNumber.one / (.one - implicit * $0) }
    let turned = p.map { column in zip(inverse, column).map { $0 * $1 } }
    let rank = p.count
    var small = Matrix.identity(rank)
    for row in 0..<rank {
      for column in 0..<rank {
        small[row, column] += implicit * LowRankRecurrence.overlap(p[row], turned[column])
      }
    }
    core = try LinearAlgebra.solve(small, Matrix.identity(rank).scaled(by: implicit))
    (self.p, self.inverse, self.turned) = (p, inverse, turned)
    explicit = lambda.map { .one + ((1 - weight) * step) * $0 }
    (self.weight, self.step) = (weight, step)
    b = system.b(channel)
    outputs = (0..<system.outputCount).map { output in
      system.c(channel, output: output) ?? Array(repeating: .one, count: system.modes)
    }
  }

  /// p* x over both halves: twice the real part.
  private static func overlap(_ p: [ComplexNumber], _ x: [ComplexNumber]) -> Double {
    var sum = 0.0
    for index in p.indices {
      sum += p[index].real * x[index].real + p[index].imaginary * x[index].imaginary
    }
    return 2 * sum
  }

  /// (I - λM)^-1 v.
  private func solved(_ v: [ComplexNumber]) -> [ComplexNumber] {
    var x = zip(inverse, v).map { $0 * $1 }
    let overlaps = p.map { LowRankRecurrence.overlap($0, x) }
    let weights = core.times(overlaps)
    for (rank, column) in turned.enumerated() {
      for index in x.indices { x[index] = x[index] - weights[rank] * column[index] }
    }
    return x
  }

  /// The next state.
  func next(_ x: [ComplexNumber]) -> [ComplexNumber] {
    var v = zip(explicit, x).map { $0 * $1 }
    let scale = (1 - weight) * step
    for column in p {
      let overlap = scale * LowRankRecurrence.overlap(column, x)
      for index in v.indices { v[index] = v[index] - overlap * column[index] }
    }
    return solved(v)
  }

  /// B̄.
  var input: [ComplexNumber] { solved(b.map { step * $0 }) }

  /// 2 Re C Ā^l B̄ of each row of C.
  func kernels(length: Int) -> [[Double]] {
    var x = input
    var kernels = outputs.map { _ in [Double]() }
    for output in kernels.indices { kernels[output].reserveCapacity(length) }
    for _ in 0..<length {
      for (output, c) in outputs.enumerated() {
        var sum = 0.0
        for index in x.indices {
          sum += c[index].real * x[index].real - c[index].imaginary * x[index].imaginary
        }
        kernels[output].append(2 * sum)
      }
      x = next(x)
    }
    return kernels
  }
}
