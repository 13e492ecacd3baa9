internal import TesseraCore
internal import TesseraImages

/// An encoder as an ONNX file: from pixels to codes.
///
/// Inputs: `pixels`, uint8 [batch, height, width, 3], what the preprocessing gives before the range. Outputs:
/// `codes`, int64 [batch, h, w] or [batch, h, w, n], or [batch, n] of a multi-scale quantizer, and `latents`, float32 [batch, h, w, d]. The range is a
/// table, so pixels become the same floats; convolutions sum in the runtime's own order, so latents agree to
/// rounding.
package enum ONNXEncoderFile {
  /// The most bytes of a protocol buffer message.
  private static let largestMessage = (1 << 31) - 1

  /// Writes the encoder of a tokenizer.
  ///
  /// - Parameters:
  ///   - parts: What the tokenizer is made of.
  ///   - path: Where to write.
  ///   - toolVersion: Stands in the file.
  ///   - inputs: Files that must not be written over.
  /// - Returns: What was left out, a line each, and the number of nodes and bytes.
  /// - Throws: `TesseraError` where the graph cannot be said in ONNX, and what reading and writing throw.
  package static func write(
    _ parts: TokenizerParts,
    to path: String,
    toolVersion: String,
    reading inputs: [String] = []
  ) throws -> Summary {
    var graph = ONNXGraph()
    do throws(TesseraError) {
      let latents = try Self.latents(of: parts, &graph)
      let codes = try graph.codes(of: latents, parts.quantizer)
      _ = graph.node("Identity", [codes], output: "codes")
    } catch {
      throw error.in(parts.description.name)
    }
    var head = try head(of: parts, toolVersion: toolVersion)
    let body = try body(of: graph, parts)
    let prefixes = graph.constants.map { prefix(of: $0) }
    let size = zip(graph.constants, prefixes).reduce(body.bytes.count) {
      $0 + $1.1.bytes.count + $1.0.byteCount
    }
    guard size <= largestMessage - head.bytes.count - 16 else {
      throw TesseraError.mismatch(
        "\(size) bytes of weights, and an ONNX file has at most 2 GiB",
        file: parts.description.name
      )
    }
    head.begin(7, count: size)
    var file = try AtomicFile(path: path, reading: inputs)
    try file.write(head.bytes)
    try file.write(body.bytes)
    for (constant, prefix) in zip(graph.constants, prefixes) {
      try file.write(prefix.bytes)
      try file.write(try bytes(of: constant, parts))
    }
    try file.commit()
    return Summary(
      nodes: graph.nodes.count,
      bytes: head.bytes.count + size,
      outputs: ["codes", "latents"],
      notes: notes(on: parts.description.preprocessing)
    )
  }

  /// The model without its graph: format, operators, who wrote it, metadata.
  private static func head(
    of parts: TokenizerParts,
    toolVersion: String
  ) throws -> ProtobufMessage {
    var head = ProtobufMessage()
    head.add(1, 8)
    head.add(2, "tessera")
    head.add(3, toolVersion)
    var operators = ProtobufMessage()
    operators.add(1, "")
    operators.add(2, 17)
    head.add(8, operators)
    for (key, value) in try metadata(of: parts) {
      var entry = ProtobufMessage()
      entry.add(1, key)
      entry.add(2, value)
      head.add(14, entry)
    }
    return head
  }

  /// What was written.
  package struct Summary: Encodable, Sendable {
    /// The number of nodes.
    package let nodes: Int
    /// The size of the file.
    package let bytes: Int
    /// The names of the outputs.
    package let outputs: [String]
    /// What the file does not hold, a line each.
    package let notes: [String]
  }

  /// Pixels to latents, channels last.
  private static func latents(
    of parts: TokenizerParts,
    _ graph: inout ONNXGraph
  ) throws(TesseraError) -> String {
    let encoder = parts.encoder
    // One table of 256 values per channel, one after the other.
    let table = (0..<3).flatMap { parts.pixelTable(channel: $0) }
    let whole = graph.node("Cast", ["pixels"], [("to", .integer(7))])
    let place = graph.node("Add", [whole, graph.integers("range.first", [0, 256, 512])])
    let values = graph.node("Gather", [graph.floats("range.table", table, shape: [768]), place])
    var stream = graph.node("Transpose", [values], [("perm", .integers([0, 3, 1, 2]))])
    stream = graph.haar(encoder.inputPatch, channels: encoder.inputChannels, to: stream)
    stream = try graph.append(encoder.layers, to: stream)
    return graph.node(
      "Transpose",
      [stream],
      [("perm", .integers([0, 2, 3, 1]))],
      output: "latents"
    )
  }

  /// The graph without its constants.
  private static func body(
    of graph: ONNXGraph,
    _ parts: TokenizerParts
  ) throws -> ProtobufMessage {
    var body = ProtobufMessage()
    for node in graph.nodes { body.add(1, node) }
    body.add(2, "\(parts.description.name) encoder")
    var (image, grid) = (["height", "width"], ["rows", "columns"])
    let count = parts.quantizer.codesPerPosition
    var codes = grid + (count > 1 ? ["\(count)"] : [])
    if case .multiScale(let quantizer) = parts.quantizer {
      let (side, stride) = (quantizer.side, parts.encoder.inputMultiple)
      image = [String](repeating: "\(side * stride)", count: 2)
      grid = [String](repeating: "\(side)", count: 2)
      codes = ["\(quantizer.tokens)"]
    }
    body.add(11, value("pixels", type: 2, ["batch"] + image + ["3"]))
    body.add(12, value("codes", type: 7, ["batch"] + codes))
    let dimensions = parts.encoder.outputChannels
    body.add(12, value("latents", type: 1, ["batch"] + grid + ["\(dimensions)"]))
    return body
  }

  /// What stands before the graph and is not in it: ONNX has no antialiased resize that rounds as Pillow does.
  private static func notes(on preprocessing: Preprocessing) -> [String] {
    var rules: [String] = []
    if preprocessing.orientation != .ignore {
      rules.append("orientation \(preprocessing.orientation.rawValue)")
    }
    if preprocessing.alpha != .drop { rules.append("alpha \(preprocessing.alpha.rawValue)") }
    if preprocessing.resize != .none { rules.append("resize \(preprocessing.resize)") }
    if preprocessing.crop != .none { rules.append("crop \(preprocessing.crop)") }
    if preprocessing.pad != .none { rules.append("pad \(preprocessing.pad)") }
    guard !rules.isEmpty else { return [] }
    return [
      "not in the graph, whose pixels are what 'tessera prepare --as npy' gives: "
        + rules.joined(separator: ", ")
    ]
  }

  /// An input or output; axes that are numbers are fixed.
  private static func value(_ name: String, type: Int, _ axes: [String]) -> ProtobufMessage {
    var shape = ProtobufMessage()
    for axis in axes {
      var dimension = ProtobufMessage()
      if let extent = Int(axis) { dimension.add(1, extent) } else { dimension.add(2, axis) }
      shape.add(1, dimension)
    }
    var tensor = ProtobufMessage()
    tensor.add(1, type)
    tensor.add(2, shape)
    var wrapped = ProtobufMessage()
    wrapped.add(1, tensor)
    var value = ProtobufMessage()
    value.add(1, name)
    value.add(2, wrapped)
    return value
  }

  /// Everything of a constant before its data: field 5 of the graph, and in it extents, type, name.
  private static func prefix(of constant: ONNXGraph.Constant) -> ProtobufMessage {
    var tensor = ProtobufMessage()
    for extent in constant.shape { tensor.add(1, extent) }
    tensor.add(2, constant.elementType == .float32 ? 1 : 7)
    tensor.add(8, constant.name)
    tensor.begin(9, count: constant.byteCount)
    var prefix = ProtobufMessage()
    prefix.begin(5, count: tensor.bytes.count + constant.byteCount)
    return ProtobufMessage(bytes: prefix.bytes + tensor.bytes)
  }

  private static func bytes(
    of constant: ONNXGraph.Constant,
    _ parts: TokenizerParts
  ) throws -> [UInt8] {
    switch constant.source {
    case .bytes(let bytes): return bytes
    case .parameter(let name):
      guard let found = try parts.parameter(name) else {
        throw TesseraError.missingParameter(name: name, expected: Shape(constant.shape))
      }
      guard found.shape.dimensions == constant.shape else {
        throw TesseraError.misshapenParameter(
          name: name,
          shape: found.shape,
          expected: Shape(constant.shape)
        )
      }
      return Tensor(shape: found.shape, floats: found.values).bytes
    }
  }

  private static func metadata(of parts: TokenizerParts) throws -> [(String, String)] {
    let description = parts.description
    func text(_ value: some Encodable) throws -> String {
      String(decoding: try CanonicalJSON.line(value), as: UTF8.self)
    }
    return [
      ("tessera.tokenizer", description.name), ("tessera.sha256", parts.sha256),
      ("tessera.quantizer", try text(parts.specification)),
      ("tessera.preprocessing", try text(description.preprocessing)),
    ]
  }
}
