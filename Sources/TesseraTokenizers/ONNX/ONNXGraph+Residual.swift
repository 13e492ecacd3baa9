import TesseraCore

/// Quantizers whose stages take what those before them left over.
extension ONNXGraph {
  /// The codes of a residual quantizer: one column a stage.
  mutating func codes(
    of latents: Value,
    _ quantizer: ResidualQuantizer,
    _ prefix: String
  ) throws(TesseraError) -> Value {
    var rest = latents
    if let softClamp = quantizer.softClamp {
      let clamp = floats("\(prefix).clamp", softClamp, shape: [softClamp.count])
      rest = node("Mul", [node("Tanh", [node("Div", [rest, clamp])]), clamp])
    }
    var parts: [(codes: Value, quantizer: Quantizer)] = []
    for (index, stage) in quantizer.stages.enumerated() {
      let name = "\(prefix).\(index)"
      let query = scaled("Div", rest, quantizer, index, prefix)
      let codes = try codes(of: query, stage, prefix: name)
      parts.append((codes, stage))
      guard index < quantizer.stages.count - 1 else { break }
      let values = try values(of: codes, stage, name)
      rest = node("Sub", [rest, scaled("Mul", values, quantizer, index, prefix)])
    }
    return joined(parts)
  }

  /// The codes of a multi-scale quantizer, [batch, tokens]: each scale's after those of the coarser ones.
  ///
  /// Resampling between grids is two products with constant matrices, so the grid's extents are fixed.
  mutating func codes(
    of latents: Value,
    _ quantizer: MultiScaleQuantizer,
    _ prefix: String
  ) throws(TesseraError) -> Value {
    let last: [(String, Attribute)] = [("perm", .integers([0, 2, 3, 1]))]
    let first: [(String, Attribute)] = [("perm", .integers([0, 3, 1, 2]))]
    let vector = Quantizer.vector(quantizer.quantizer)
    var rest = node("Transpose", [latents], first)
    var columns: [Value] = []
    for (index, scale) in quantizer.scales.enumerated() {
      let name = "\(prefix).scale.\(index)"
      let area = quantizer.areaWeights(scale: index)
      let query = area.map { resampled(rest, $0, rows: scale, "\(name).area") } ?? rest
      let codes = try codes(of: node("Transpose", [query], last), vector, prefix: prefix)
      columns.append(node("Reshape", [codes, integers("shape.images", [0, -1])]))
      guard index < quantizer.scales.count - 1 else { break }
      var added = node("Transpose", [try values(of: codes, vector, prefix)], first)
      if let cubic = quantizer.bicubicWeights(scale: index) {
        added = resampled(added, cubic, rows: quantizer.side, "\(name).cubic")
      }
      rest = node("Sub", [rest, refined(added, quantizer, index)])
    }
    return columns.count == 1 ? columns[0] : node("Concat", columns, [("axis", .integer(1))])
  }

  /// W x Wᵀ for each channel: both axes of a grid brought to another extent.
  private mutating func resampled(
    _ grid: Value,
    _ weights: [Float],
    rows: Int,
    _ name: String
  ) -> Value {
    let columns = weights.count / rows
    var transposed = [Float](repeating: 0, count: weights.count)
    for row in 0..<rows {
      for column in 0..<columns {
        transposed[column * rows + row] = weights[row * columns + column]
      }
    }
    let left = floats(name, weights, shape: [rows, columns])
    let right = floats("\(name).transposed", transposed, shape: [columns, rows])
    return node("MatMul", [left, node("MatMul", [grid, right])])
  }

  /// (1 - ratio) h + ratio conv(h), where the quantizer has convolutions.
  private mutating func refined(
    _ values: Value,
    _ quantizer: MultiScaleQuantizer,
    _ scale: Int
  ) -> Value {
    guard let refinement = quantizer.refinement,
      let convolution = refinement.convolution(scale: scale, of: quantizer.scales.count)
    else { return values }
    let ratio = refinement.ratio
    let kept = node("Mul", [values, floats("refinement.rest", [1 - ratio], shape: [])])
    let taken = append(convolution, to: values)
    return node(
      "Add",
      [kept, node("Mul", [taken, floats("refinement.ratio", [ratio], shape: [])])]
    )
  }
}
