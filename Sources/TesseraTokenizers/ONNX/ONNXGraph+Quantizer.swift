import TesseraCore

/// A quantizer as nodes: from latents [..., d] to codes int64 [...], or [..., n] where there are several.
extension ONNXGraph {
  /// The codes of latents.
  mutating func codes(
    of latents: Value,
    _ quantizer: Quantizer,
    prefix: String = "quantizer"
  ) throws(TesseraError) -> Value {
    switch quantizer {
    case .finiteScalar(let quantizer): return codes(of: latents, quantizer, prefix)
    case .binary(let quantizer):
      let zero = floats("\(prefix).zero", [0], shape: [])
      let bits = node("Cast", [node("Greater", [latents, zero])], [("to", .integer(7))])
      return sum(bits, Self.basis(quantizer), prefix)
    case .vector(let quantizer): return try codes(of: latents, quantizer, prefix)
    case .grouped(let quantizer): return try codes(of: latents, quantizer, prefix)
    case .residual(let quantizer): return try codes(of: latents, quantizer, prefix)
    case .multiScale(let quantizer): return try codes(of: latents, quantizer, prefix)
    }
  }

  /// Codes of several quantizers side by side on a last axis; those of one as they are.
  mutating func joined(_ parts: [(codes: Value, quantizer: Quantizer)]) -> Value {
    guard parts.count > 1 else { return parts[0].codes }
    let columns = parts.map { part in
      part.quantizer.codesPerPosition == 1
        ? node("Unsqueeze", [part.codes, integers("axis.last", [-1])]) : part.codes
    }
    return node("Concat", columns, [("axis", .integer(-1))])
  }

  /// What the digits of a mixed-radix number are worth, the first least.
  static func basis(_ levels: [Int]) -> [Int] {
    var worth = 1
    return levels.map { levels in
      defer { worth *= levels }
      return worth
    }
  }

  /// What the bits are worth.
  static func basis(_ quantizer: BinaryQuantizer) -> [Int] {
    let worths = basis([Int](repeating: 2, count: quantizer.dimensions))
    return quantizer.order == .little ? worths : worths.reversed()
  }

  /// Σ digit · weight over the last axis.
  private mutating func sum(_ digits: Value, _ weights: [Int], _ prefix: String) -> Value {
    let product = node("Mul", [digits, integers("\(prefix).weights", weights)])
    return node(
      "ReduceSum",
      [product, integers("axis.last", [-1])],
      [("keepdims", .integer(0))]
    )
  }

  private mutating func codes(
    of latents: Value,
    _ quantizer: VectorQuantizer,
    _ prefix: String
  ) throws(TesseraError) -> Value {
    let (count, dimensions) = (quantizer.vocabularySize, quantizer.dimensions)
    let best: [(String, Attribute)] = [("axis", .integer(-1)), ("keepdims", .integer(0))]
    if quantizer.rule == .logits { return node("ArgMax", [latents], best) }
    var rows = try Self.rows(of: quantizer)
    var query = latents
    if quantizer.rule == .cosine {
      rows = Self.normalized(rows, dimensions)
      let norm = node(
        "ReduceL2",
        [latents],
        [("axes", .integers([-1])), ("keepdims", .integer(1))]
      )
      query = node(
        "Div",
        [latents, node("Max", [norm, floats("norm.least", [1e-12], shape: [])])]
      )
    }
    // Columns are codes: [d, K].
    var columns = [Float](repeating: 0, count: rows.count)
    for code in 0..<count {
      for dimension in 0..<dimensions {
        columns[dimension * count + code] = rows[code * dimensions + dimension]
      }
    }
    let codebook = floats("\(prefix).codebook", columns, shape: [dimensions, count])
    var scores = node("MatMul", [query, codebook])
    if quantizer.rule == .l2 {
      let norms = (0..<count).map { code in
        var norm = 0.0
        for value in rows[code * dimensions..<(code + 1) * dimensions] {
          norm += Double(value) * Double(value)
        }
        return Float(-norm / 2)
      }
      scores = node("Add", [scores, floats("\(prefix).norms", norms, shape: [count])])
    }
    return node("ArgMax", [scores], best)
  }

  /// The rows of a codebook as decoders take them.
  static func rows(of quantizer: VectorQuantizer) throws(TesseraError) -> [Float] {
    do {
      return try quantizer.values(of: (0..<UInt32(quantizer.vocabularySize)).map { $0 })
    } catch {
      throw TesseraError.mismatch("\(error)")
    }
  }

  private static func normalized(_ rows: [Float], _ dimensions: Int) -> [Float] {
    var rows = rows
    for start in stride(from: 0, to: rows.count, by: dimensions) {
      var norm = 0.0
      for value in rows[start..<start + dimensions] { norm += Double(value) * Double(value) }
      let divisor = max(Float(norm.squareRoot()), 1e-12)
      for index in start..<start + dimensions { rows[index] /= divisor }
    }
    return rows
  }

  private mutating func codes(
    of latents: Value,
    _ quantizer: GroupedQuantizer,
    _ prefix: String
  ) throws(TesseraError) -> Value {
    let sizes = integers("\(prefix).sizes", quantizer.groups.map(\.dimensions))
    let names = quantizer.groups.indices.map { "\(prefix).group.\($0)" }
    let parts = node("Split", [latents, sizes], [("axis", .integer(-1))], outputs: names)
    var found: [(codes: Value, quantizer: Quantizer)] = []
    for (index, group) in quantizer.groups.enumerated() {
      let codes = try codes(of: parts[index], group, prefix: "\(prefix).\(index)")
      found.append((codes, group))
    }
    return joined(found)
  }

  private mutating func codes(
    of latents: Value,
    _ quantizer: FiniteScalarQuantizer,
    _ prefix: String
  ) -> Value {
    let bounds = quantizer.bounds
    func row(_ graph: inout ONNXGraph, _ name: String, _ value: (Int) -> Float) -> Value {
      let values = bounds.indices.map(value)
      return graph.floats("\(prefix).\(name)", values, shape: [values.count])
    }
    let scale = row(&self, "scale") { bounds[$0].scale }
    var rounded: Value
    switch quantizer.variant {
    case .paperTan, .atanh:
      let shifted = node("Add", [latents, row(&self, "shift") { bounds[$0].shift }])
      let bounded = node("Mul", [node("Tanh", [shifted]), scale])
      rounded = node("Round", [node("Sub", [bounded, row(&self, "offset") { bounds[$0].offset }])])
    case .s3: rounded = node("Round", [node("Mul", [node("Tanh", [latents]), scale])])
    case .sigmoid: rounded = node("Round", [node("Mul", [node("Sigmoid", [latents]), scale])])
    case .ifsq:
      let steep = node("Mul", [latents, floats("\(prefix).steepness", [1.6], shape: [])])
      let doubled = node("Mul", [node("Sigmoid", [steep]), floats("two", [2], shape: [])])
      let centred = node("Sub", [doubled, floats("one", [1], shape: [])])
      rounded = node("Round", [node("Mul", [centred, scale])])
    case .symmetric, .symmetricClamp:
      let one = floats("one", [1], shape: [])
      let bounded =
        quantizer.variant == .symmetric
        ? node("Tanh", [latents])
        : node("Clip", [latents, floats("minus.one", [-1], shape: []), one])
      let half = node(
        "Div",
        [node("Mul", [node("Add", [bounded, one]), scale]), floats("two", [2], shape: [])]
      )
      rounded = node("Floor", [node("Add", [half, floats("half", [0.5], shape: [])])])
    }
    rounded = node("Add", [rounded, row(&self, "first") { bounds[$0].digitOffset }])
    let digits = node("Cast", [rounded], [("to", .integer(7))])
    return sum(digits, Self.basis(quantizer.levels), prefix)
  }
}
