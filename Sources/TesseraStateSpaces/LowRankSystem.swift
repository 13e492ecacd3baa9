import TesseraCore

/// Λ, P and B, C of a diagonal-plus-low-rank system, one of each conjugate pair.
///
/// The matrix over both halves is diag(Λ, Λ̄) - Σ p p*, p = [P, P̄].
struct LowRankSystem {
  let channels: Int
  let modes: Int
  let ranks: Int
  let leadingShape: [Int]
  /// `[outputs]` where C has several rows per channel, else empty.
  let outputShape: [Int]
  private let values: [ComplexNumber]
  private let corrections: [ComplexNumber]
  private let inputs: [ComplexNumber]
  private let diagonal: DiagonalSystem
  private let correctionsHaveChannels: Bool

  /// The rows of C that each channel has.
  var outputCount: Int { diagonal.outputCount }

  /// Takes the arrays of a file: Lambda, B, C as in `DiagonalSystem`; P [rank, modes] or
  /// [rank, channels, modes].
  ///
  /// - Throws: `TesseraError` where shapes do not fit.
  init(_ file: StateSpaceFile, channels: Int? = nil) throws(TesseraError) {
    let p = try file.array("P")
    let modes = try file.array("Lambda").shape.last ?? 0
    guard 2...3 ~= p.shape.count, p.shape.last == modes, p.shape[0] > 0, p.shape[0] <= 64 else {
      throw .mismatch(
        "P has the shape \(p.storedShape): [rank, \(modes), 2] or [rank, channels, \(modes), 2] was "
          + "expected"
      )
    }
    let rows = p.shape.count == 3 ? p.shape[1] : nil
    if let channels, let rows, channels != rows {
      throw .mismatch("P has \(rows) channels, and others \(channels)")
    }
    let diagonal = try DiagonalSystem(file, channels: channels ?? rows)
    self.modes = diagonal.modes
    self.channels = diagonal.channels
    self.diagonal = diagonal
    leadingShape = diagonal.leadingShape
    outputShape = diagonal.outputShape
    ranks = p.shape[0]
    correctionsHaveChannels = rows != nil
    corrections = p.complexValues
    let all = 0..<diagonal.channels
    values = all.flatMap { diagonal.lambda($0) }
    inputs = all.flatMap { diagonal.b($0) }
  }

  private func row(_ channel: Int) -> Range<Int> { channel * modes..<(channel + 1) * modes }

  /// Λ of one channel.
  func lambda(_ channel: Int) -> [ComplexNumber] { Array(values[row(channel)]) }
  /// B of one channel.
  func b(_ channel: Int) -> [ComplexNumber] { Array(inputs[row(channel)]) }
  /// One row of C of one channel, or nil.
  func c(_ channel: Int, output: Int = 0) -> [ComplexNumber]? {
    diagonal.c(channel, output: output)
  }

  /// The P of each rank of one channel.
  func p(_ channel: Int) -> [[ComplexNumber]] {
    (0..<ranks).map { rank in
      let start = (correctionsHaveChannels ? rank * channels + channel : rank) * modes
      return Array(corrections[start..<start + modes])
    }
  }

  /// The most modes of which a dense matrix is made: 1 GiB.
  private static let largestDense = 4096

  /// The matrix of one channel over both halves, the stored one first.
  ///
  /// - Throws: `TesseraError` where it would be too large.
  func matrix(_ channel: Int) throws(TesseraError) -> ComplexMatrix {
    guard modes <= LowRankSystem.largestDense else {
      throw .limit(
        "\(modes) modes, and a dense matrix is made of up to \(LowRankSystem.largestDense)"
      )
    }
    let lambda = lambda(channel)
    let columns = p(channel).map { $0 + $0.map(\.conjugate) }
    return ComplexMatrix(rows: 2 * modes, columns: 2 * modes) { row, column in
      var value = ComplexNumber.zero
      if row == column { value = row < modes ? lambda[row] : lambda[row - modes].conjugate }
      return columns.reduce(value) { $0 - $1[row] * $1[column].conjugate }
    }
  }

  /// A dense complex file of the only channel, over both halves.
  ///
  /// - Throws: `TesseraError` where there are several channels.
  func dense(channel: Int?) throws(TesseraError) -> StateSpaceFile {
    guard channel != nil || channels == 1 else {
      throw .mismatch("\(channels) channels of a low-rank system have no common A; 1 was expected")
    }
    let channel = channel ?? 0
    let b = b(channel)
    var file = StateSpaceFile(arrays: [:], metadata: [:])
    let matrix = try matrix(channel)
    file.arrays["A"] = StateSpaceArray(matrix.elements, shape: [2 * modes, 2 * modes])
    file.arrays["B"] = StateSpaceArray(b + b.map(\.conjugate), shape: [2 * modes])
    return file
  }
}
