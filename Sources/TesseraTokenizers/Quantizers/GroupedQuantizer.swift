package import TesseraCore

/// Several quantizers side by side: each takes its share of a position's dimensions and gives its own code.
///
/// UniTok's eight codebooks, WeTok's groups of signs, the `num_codebooks` of FSQ and LFQ.
package struct GroupedQuantizer: Sendable {
  /// The quantizers in the order of the dimensions.
  package let groups: [Quantizer]

  /// Creates a quantizer of groups.
  ///
  /// - Throws: `TesseraError` for no group, or one that takes whole images.
  package init(groups: [Quantizer]) throws(TesseraError) {
    guard (1...1024).contains(groups.count) else {
      throw .mismatch("groups: \(groups.count) of them, and 1 to 1024 are possible")
    }
    guard groups.allSatisfy(\.takesPositions) else {
      throw .mismatch("groups: a quantizer of whole images is no group")
    }
    self.groups = groups
  }

  func quantize(_ latents: [Float], count: Int) throws(TesseraError) -> QuantizedLatents {
    let dimensions = groups.reduce(0) { $0 + $1.dimensions }
    var parts: [QuantizedLatents] = []
    var first = 0
    for group in groups {
      let columns = first..<first + group.dimensions
      let share = latents.columns(columns, of: dimensions)
      do {
        parts.append(try group.quantize(share))
      } catch {
        throw error.inColumns(columns, of: dimensions)
      }
      first = columns.upperBound
    }
    return QuantizedLatents(joining: parts, widths: groups.map(\.codesPerPosition), count: count)
  }

  func values(of codes: [UInt32], count: Int) throws(TesseraError) -> [Float] {
    let width = groups.reduce(0) { $0 + $1.codesPerPosition }
    var parts: [[Float]] = []
    var first = 0
    for group in groups {
      let share = codes.columns(first..<first + group.codesPerPosition, of: width)
      do {
        parts.append(try group.values(of: share))
      } catch {
        throw error.inColumns(first..<first + group.codesPerPosition, of: width)
      }
      first += group.codesPerPosition
    }
    return parts.interleaved(widths: groups.map(\.valueDimensions), count: count)
  }
}

/// Several quantizers one after the other: each takes what those before left over; the values add up.
///
/// RVQ (arXiv 2107.03312) and, with scales and a clamp, the ResidualFSQ of vector-quantize-pytorch.
package struct ResidualQuantizer: Sendable {
  /// The quantizers from coarse to fine.
  package let stages: [Quantizer]
  /// What each stage's input is divided by and its values multiplied with: a number or one per dimension.
  package let scales: [[Float]]
  /// c of c·tanh(z / c), which the latents go through first: one per dimension; nil for none.
  package let softClamp: [Float]?

  /// Creates a quantizer of stages.
  ///
  /// - Throws: `TesseraError` where the stages do not fit together.
  package init(
    stages: [Quantizer],
    scales: [[Float]]? = nil,
    softClamp: [Float]? = nil
  ) throws(TesseraError) {
    guard let first = stages.first, stages.count <= 1024 else {
      throw .mismatch("stages: \(stages.count) of them, and 1 to 1024 are possible")
    }
    for (index, stage) in stages.enumerated() {
      guard stage.takesPositions, stage.dimensions == first.dimensions,
        stage.valueDimensions == first.dimensions
      else {
        throw .mismatch(
          "stage \(index) takes \(stage.dimensions) dimensions and gives "
            + "\(stage.valueDimensions) values, and the first stage takes \(first.dimensions)"
        )
      }
    }
    let scales = scales ?? stages.map { _ in [1] }
    guard scales.count == stages.count,
      scales.allSatisfy({ [1, first.dimensions].contains($0.count) }),
      scales.joined().allSatisfy({ $0.isFinite && $0 > 0 })
    else {
      throw .mismatch("scales: one per stage, each a positive number or one per dimension")
    }
    if let softClamp {
      guard softClamp.count == first.dimensions, softClamp.allSatisfy({ $0.isFinite && $0 > 0 })
      else { throw .mismatch("soft_clamp: one positive number per dimension") }
    }
    (self.stages, self.scales, self.softClamp) = (stages, scales, softClamp)
  }

  func quantize(_ latents: [Float], count: Int) throws(TesseraError) -> QuantizedLatents {
    let dimensions = stages[0].dimensions
    if let index = latents.firstIndexNotFinite {
      throw .notFinite(index: index, dimensions: dimensions)
    }
    var rest = latents
    if let softClamp {
      for index in rest.indices {
        let clamp = softClamp[index % dimensions]
        rest[index] = Float(ElementaryFunctions.tanh(Double(rest[index] / clamp))) * clamp
      }
    }
    var parts: [QuantizedLatents] = []
    for (stage, scale) in zip(stages, scales) {
      let part = try stage.quantize(rest.indices.map { rest[$0] / scale[$0 % scale.count] })
      let values = try stage.values(of: part.codes)
      for index in rest.indices { rest[index] -= values[index] * scale[index % scale.count] }
      parts.append(part)
    }
    return QuantizedLatents(joining: parts, widths: stages.map(\.codesPerPosition), count: count)
  }

  func values(of codes: [UInt32], count: Int) throws(TesseraError) -> [Float] {
    let width = stages.reduce(0) { $0 + $1.codesPerPosition }
    var sums = [Float](repeating: 0, count: count * stages[0].dimensions)
    var first = 0
    for (stage, scale) in zip(stages, scales) {
      let columns = first..<first + stage.codesPerPosition
      let values: [Float]
      do {
        values = try stage.values(of: codes.columns(columns, of: width))
      } catch {
        throw error.inColumns(columns, of: width)
      }
      for index in sums.indices { sums[index] += values[index] * scale[index % scale.count] }
      first = columns.upperBound
    }
    return sums
  }
}

extension Array {
  /// Some of the `width` columns of each row.
  func columns(_ columns: Range<Int>, of width: Int) -> [Element] {
    guard columns.count < width else { return self }
    var result: [Element] = []
    result.reserveCapacity(count / width * columns.count)
    for start in Swift.stride(from: 0, to: count, by: width) {
      result += self[start + columns.lowerBound..<start + columns.upperBound]
    }
    return result
  }

  /// Row by row the columns of all parts, of `widths` columns each: the inverse of ``columns(_:of:)``.
  func interleaved<Value>(widths: [Int], count: Int) -> [Value] where Element == [Value] {
    guard self.count > 1 else { return first ?? [] }
    var result: [Value] = []
    result.reserveCapacity(count * widths.reduce(0, +))
    for row in 0..<count {
      for (part, width) in zip(self, widths) { result += part[row * width..<(row + 1) * width] }
    }
    return result
  }
}

extension QuantizedLatents {
  /// Codes of several quantizers side by side, each with `widths` codes per position.
  fileprivate init(joining parts: [QuantizedLatents], widths: [Int], count: Int) {
    self.init(
      codes: parts.map(\.codes).interleaved(widths: widths, count: count),
      margins: parts.map(\.margins).interleaved(widths: widths, count: count)
    )
  }
}
