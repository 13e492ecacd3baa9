import TesseraCheckpoints
import TesseraCore
import TesseraRules

/// A linear layer in double precision.
struct DenseLayer: Sendable {
  let name: String
  let inputs: Int
  let outputs: Int
  /// [inputs, outputs]: the columns lie together, so that a sum runs over vectors.
  private let columns: [Double]
  private let bias: [Double]

  /// Reads a layer; one without a bias adds nothing.
  ///
  /// - Parameters:
  ///   - name: The weight's name, for messages.
  ///   - weight: [outputs, inputs]; nil where the checkpoint has none.
  ///   - bias: [outputs].
  ///   - base: Holds both.
  /// - Throws: `TesseraError` where there is no matrix; what the reader throws.
  init(
    _ name: String,
    weight: TensorInfo?,
    bias: TensorInfo?,
    of base: any CheckpointReader
  ) throws {
    guard let weight, weight.shape.rank == 2, !weight.shape.dimensions.contains(0) else {
      throw TesseraError.mismatch("missing, or no matrix", place: "'\(name)'")
    }
    let values = try base.floats(of: weight)
    self.name = name
    outputs = weight.shape[0]
    inputs = weight.shape[1]
    var columns = [Double](repeating: 0, count: values.count)
    for row in 0..<outputs {
      for column in 0..<inputs {
        columns[column * outputs + row] = Double(values[row * inputs + column])
      }
    }
    self.columns = columns
    self.bias =
      try bias.map { try base.floats(of: $0).map(Double.init) }
      ?? [Double](repeating: 0, count: outputs)
  }

  /// W x + b.
  func callAsFunction(_ x: [Double]) throws -> [Double] {
    guard x.count == inputs, bias.count == outputs else { throw mismatch(x.count) }
    var result = bias
    for (column, factor) in x.enumerated() {
      let start = column * outputs
      for row in 0..<outputs { result[row] += columns[start + row] * factor }
    }
    return result
  }

  /// One column times a factor, and the bias: W x + b for a one-hot x.
  func column(_ index: Int, times factor: Double) -> [Double] {
    (0..<outputs).map { columns[index * outputs + $0] * factor + bias[$0] }
  }

  func mismatch(_ count: Int) -> TesseraError {
    TesseraError.mismatch(
      "maps \(inputs) to \(outputs) values, and \(count) are due",
      place: "'\(name)'"
    )
  }
}
