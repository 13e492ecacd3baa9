import TesseraCore

/// The way back as nodes: from codes to the values that a later stage subtracts.
extension ONNXGraph {
  /// The values of codes: int64 [...], or [..., n] where there are several, to float32 [..., d].
  mutating func values(
    of codes: Value,
    _ quantizer: Quantizer,
    _ prefix: String
  ) throws(TesseraError) -> Value {
    switch quantizer {
    case .finiteScalar(let scalars):
      let tables = try Self.tables(of: scalars)
      return digits(of: codes, Self.basis(scalars.levels), tables, prefix)
    case .binary(let bits):
      let one: Float = bits.kind == .lfq ? 1 : 1 / Float(bits.dimensions).squareRoot()
      let tables = [[Float]](repeating: [-one, one], count: bits.dimensions)
      return digits(of: codes, Self.basis(bits), tables, prefix)
    case .vector(let vector):
      let shape = [vector.vocabularySize, vector.valueDimensions]
      let rows = floats("\(prefix).rows", try Self.rows(of: vector), shape: shape)
      return node("Gather", [rows, codes], [("axis", .integer(0))])
    case .grouped(let grouped):
      let parts = shares(of: codes, grouped.groups, prefix)
      var values: [Value] = []
      for (index, group) in grouped.groups.enumerated() {
        values.append(try self.values(of: parts[index], group, "\(prefix).\(index)"))
      }
      return node("Concat", values, [("axis", .integer(-1))])
    case .residual(let residual):
      let parts = shares(of: codes, residual.stages, prefix)
      var sum: Value?
      for (index, stage) in residual.stages.enumerated() {
        let values = try self.values(of: parts[index], stage, "\(prefix).\(index)")
        let scaled = scaled("Mul", values, residual, index, prefix)
        sum = sum.map { node("Add", [$0, scaled]) } ?? scaled
      }
      return sum ?? codes
    case .multiScale: throw TesseraError.mismatch("a multi-scale quantizer is no stage of another")
    }
  }

  /// The values of each digit of each dimension.
  private static func tables(of quantizer: FiniteScalarQuantizer) throws(TesseraError) -> [[Float]]
  {
    var tables: [[Float]] = []
    for (dimension, worth) in basis(quantizer.levels).enumerated() {
      do {
        let codes = (0..<quantizer.levels[dimension]).map { UInt32($0 * worth) }
        let values = try quantizer.values(of: codes)
        tables.append(codes.indices.map { values[$0 * quantizer.dimensions + dimension] })
      } catch {
        throw TesseraError.mismatch("\(error)")
      }
    }
    return tables
  }

  /// A table's value for each digit of codes, along a new last axis.
  private mutating func digits(
    of codes: Value,
    _ basis: [Int],
    _ tables: [[Float]],
    _ prefix: String
  ) -> Value {
    let column = node("Unsqueeze", [codes, integers("axis.last", [-1])])
    let shifted = node("Div", [column, integers("\(prefix).worths", basis)])
    let digits = node("Mod", [shifted, integers("\(prefix).levels", tables.map(\.count))])
    var first = 0
    let starts = tables.map { table in
      defer { first += table.count }
      return first
    }
    let places = node("Add", [digits, integers("\(prefix).starts", starts)])
    let values = Array(tables.joined())
    return node("Gather", [floats("\(prefix).table", values, shape: [values.count]), places])
  }

  /// The codes of each of several quantizers side by side, without their axis where each has one.
  private mutating func shares(
    of codes: Value,
    _ quantizers: [Quantizer],
    _ prefix: String
  ) -> [Value] {
    guard quantizers.count > 1 else { return [codes] }
    let widths = quantizers.map(\.codesPerPosition)
    let names = quantizers.indices.map { "\(codes).share.\($0)" }
    let split = [codes, integers("\(prefix).widths", widths)]
    return node("Split", split, [("axis", .integer(-1))], outputs: names).enumerated()
      .map { index, share in
        widths[index] == 1 ? node("Squeeze", [share, integers("axis.last", [-1])]) : share
      }
  }

  /// Values divided by the scale of a stage, or multiplied with it; as they are where it is 1.
  mutating func scaled(
    _ operation: String,
    _ values: Value,
    _ residual: ResidualQuantizer,
    _ stage: Int,
    _ prefix: String
  ) -> Value {
    let scale = residual.scales[stage]
    if scale == [1] { return values }
    let factor = floats("\(prefix).\(stage).factor", scale, shape: [scale.count])
    return node(operation, [values, factor])
  }
}
