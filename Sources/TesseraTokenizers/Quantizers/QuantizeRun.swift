import TesseraCore

/// One file through a quantizer, a block of positions (or images) at a time, blocks side by side.
package struct QuantizeRun: Sendable {
  private let quantizer: Quantizer
  private let specification: QuantizerSpecification
  private let usesDigits: Bool
  private let input: String
  private let file: ArrayFile
  private let output: String
  private let margins: String?
  /// Files that must not be written over.
  private let inputs: [String]
  private let workers: Int

  /// Opens the quantizer and the file.
  ///
  /// - Parameters:
  ///   - input: Latents, or codes for `dequantize()` (.npy).
  ///   - quantizerFile: The quantizer's JSON file.
  ///   - output: The file to write (.npy).
  ///   - usesDigits: Whether digits stand in the place of codes.
  ///   - margins: The file for the margins; nil for none.
  ///   - workers: Blocks in flight.
  /// - Throws: `TesseraError`, naming the file.
  package init(
    _ input: String,
    quantizerFile: String,
    output: String,
    usesDigits: Bool,
    margins: String?,
    workers: Int
  ) throws {
    (specification, quantizer) = try QuantizerFile.open(quantizerFile)
    file = try ArrayFile(path: input)
    inputs = [input, quantizerFile]
    (self.input, self.output, self.usesDigits, self.margins) = (input, output, usesDigits, margins)
    self.workers = workers
  }

  /// Latents a block: some MiB.
  private static let blockLatents = 1 << 20

  private var shape: [Int] { file.header.shape.dimensions }

  /// What a code, or the codes of an image, is made of.
  private var item: QuantizedItem { QuantizedItem(quantizer, usesDigits: usesDigits) }

  /// Latents to codes or digits.
  ///
  /// - Throws: `TesseraError`, naming the file.
  package func quantize() async throws -> QuantizeSummary {
    try checkLatents()
    let count = try items(of: "latents", trailing: item.latentShape)
    let codeType = ElementType.unsigned(holding: UInt64(quantizer.vocabularySize))
    let digitType = ElementType.unsigned(holding: UInt64(quantizer.digitLevels?.max() ?? 0))
    let type = usesDigits ? digitType : codeType
    let outputShape = shape.dropLast(item.latentShape.count) + item.codeShape
    var codes = try open(output, type, Array(outputShape))
    var marginFile = try margins.map { path in
      let shape = Array(shape.dropLast(item.latentShape.count)) + item.marginShape
      return OpenArray(try open(path, .float32, shape))
    }
    var totals = Totals(quantizer)
    try await blocks(of: count).mapInOrder(width: workers) { block in
      try await quantized(block, type)
    } consume: { result in
      try codes.write(result.bytes)
      try marginFile?.file.write(
        Tensor(shape: [result.margins.count], floats: result.margins).bytes
      )
      totals.add(result)
    }
    var finished = AtomicFileSet()
    if let marginFile { try finished.add(marginFile.file) }
    try finished.commit(with: codes)
    return QuantizeSummary(
      quantizer: specification,
      vocabularies: quantizer.vocabularySizes,
      positions: count * item.positions,
      used: totals.usages.map(\.used),
      minMargin: totals.leastMargin.flatMap { $0.isFinite ? $0 : nil },
      marginUnit: quantizer.marginUnit,
      dtype: String(describing: type),
      shape: Array(outputShape)
    )
  }

  /// Codes or digits to values.
  ///
  /// - Throws: `TesseraError`, naming the file.
  package func dequantize() async throws -> QuantizeSummary {
    let count = try items(of: usesDigits ? "digits" : "codes", trailing: item.codeShape)
    guard quantizer.valueDimensions > 0 else {
      throw try problem { () throws(TesseraError) in _ = try quantizer.values(of: [UInt32]()) }
    }
    let outputShape = Array(shape.dropLast(item.codeShape.count)) + item.valueShape
    var values = try open(output, .float32, outputShape)
    try await blocks(of: count).mapInOrder(width: workers) { block in
      try await dequantized(block)
    } consume: { bytes in
      try values.write(bytes)
    }
    try values.commit()
    return QuantizeSummary(
      quantizer: specification,
      vocabularies: quantizer.vocabularySizes,
      positions: count * item.positions,
      used: nil,
      minMargin: nil,
      marginUnit: nil,
      dtype: "float32",
      shape: outputShape
    )
  }

  /// The number of items of an array whose last axes are those of one item.
  private func items(of what: String, trailing: [Int]) throws -> Int {
    guard shape.suffix(trailing.count).elementsEqual(trailing),
      let count = Shape(shape.dropLast(trailing.count)).elementCount,
      file.header.shape.elementCount != nil
    else {
      throw mismatch(
        "\(what) of shape \(shape), and the quantizer has \(quantizer.dimensions) dimensions"
          + ": the last \(trailing.count == 1 ? "axis" : "axes") must be \(trailing)"
          + (what == "latents" ? "; move the channels last" : "")
      )
    }
    return count
  }

  private func blocks(of count: Int) -> [Range<Int>] {
    let size = max(1, min(1 << 16, Self.blockLatents / max(item.latents, item.values, 1)))
    return stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }

  @concurrent
  private func quantized(_ block: Range<Int>, _ type: ElementType) async throws -> QuantizedBlock {
    let latents = try file.read(
      block.lowerBound * item.latents..<block.upperBound * item.latents
    ).floats()
    return try TesseraError.naming(input, from: block.lowerBound * item.positions) {
      () throws(TesseraError) in
      let quantized = try item.quantize(latents, count: block.count)
      let numbers = usesDigits ? try quantizer.digits(of: quantized.codes) : quantized.codes
      return QuantizedBlock(
        codes: quantized.codes,
        margins: quantized.margins,
        bytes: Tensor(narrowing: numbers, to: type).bytes
      )
    }
  }

  @concurrent
  private func dequantized(_ block: Range<Int>) async throws -> [UInt8] {
    let numbers = try file.naturals(
      block.lowerBound * item.codes..<block.upperBound * item.codes,
      input: input
    )
    let values = try TesseraError.naming(input, from: block.lowerBound * item.positions) {
      () throws(TesseraError) in
      try item.values(of: usesDigits ? quantizer.codes(ofDigits: numbers) : numbers)
    }
    return Tensor(shape: [values.count], floats: values).bytes
  }

  private func open(_ path: String, _ type: ElementType, _ shape: [Int]) throws -> AtomicFile {
    guard let header = NPYHeader(elementType: type, shape: Shape(shape)),
      let encoded = header.encoded
    else { throw mismatch("the result of shape \(shape) is larger than a file can be") }
    var file = try AtomicFile(path: path, reading: inputs)
    try file.write(encoded)
    return file
  }

  private func checkLatents() throws {
    if quantizer.digitLevels == nil, usesDigits {
      throw try problem { () throws(TesseraError) in _ = try quantizer.digits(of: []) }
    }
    let type = file.header.elementType
    guard ![.float32, .float16].contains(type) else { return }
    let isCode = [.uint8, .uint16, .uint32, .uint64, .int8, .int16, .int32, .int64].contains(type)
    throw mismatch(
      isCode
        ? "these are \(type.rawValue), as codes are, and quantizers take latents: codes of one quantizer "
          + "never become another's, since rounding left nothing of what decides them; quantize the "
          + "latents (tokenize --latents keeps them), or name --inverse or --reindex"
        : "latents are float32 (or float16), and these are \(type.rawValue); "
          + "save them with astype('float32')"
    )
  }

  /// What `body` throws, with the file's name.
  private func problem(_ body: () throws(TesseraError) -> Void) throws -> TesseraError {
    do {
      try body()
    } catch {
      return error.in(input)
    }
    return mismatch("codes of this quantizer have no values")
  }

  private func mismatch(_ reason: String) -> TesseraError {
    TesseraError.mismatch(reason).in(input)
  }
}

/// A file being written that may be absent: an optional cannot hold a noncopyable value in place.
private struct OpenArray: ~Copyable {
  var file: AtomicFile

  init(_ file: consuming AtomicFile) { self.file = file }
}

/// What one block gave.
private struct QuantizedBlock: Sendable {
  let codes: [UInt32]
  let margins: [Float]
  let bytes: [UInt8]

  /// The codes of each of the places that a position has.
  func codesByPlace(_ places: Int) -> [[UInt32]] {
    (0..<places).map { place in stride(from: place, to: codes.count, by: places).map { codes[$0] } }
  }
}

/// What the summary says of the codes.
private struct Totals: Sendable {
  var usages: [CodeUsage]
  var leastMargin: Float?

  init(_ quantizer: Quantizer) {
    usages = quantizer.vocabularySizes.map { CodeUsage(vocabularySize: $0) }
  }

  mutating func add(_ block: QuantizedBlock) {
    if usages.count == 1 {
      usages[0].add(block.codes)
    } else {
      for (place, codes) in block.codesByPlace(usages.count).enumerated() {
        usages[place].add(codes)
      }
    }
    leastMargin = [leastMargin, block.margins.min()].compactMap(\.self).min()
  }
}

/// What is quantized by itself: a position, or with a multi-scale quantizer an image.
struct QuantizedItem: Sendable {
  let quantizer: Quantizer
  /// The last axes of latents, codes (or digits), margins and values.
  let latentShape: [Int]
  let codeShape: [Int]
  let marginShape: [Int]
  let valueShape: [Int]
  /// The positions whose latents it has.
  let positions: Int

  var latents: Int { latentShape.reduce(1, *) }
  var codes: Int { codeShape.reduce(1, *) }
  var values: Int { valueShape.reduce(1, *) }

  init(_ quantizer: Quantizer, usesDigits: Bool) {
    self.quantizer = quantizer
    if case .multiScale(let scales) = quantizer {
      latentShape = [scales.side, scales.side, scales.dimensions]
      valueShape = latentShape
      codeShape = [scales.tokens]
      marginShape = codeShape
      positions = scales.side * scales.side
    } else {
      let places = quantizer.codesPerPosition
      latentShape = [quantizer.dimensions]
      valueShape = [quantizer.valueDimensions]
      marginShape = places == 1 ? [] : [places]
      codeShape = usesDigits ? [quantizer.digitLevels?.count ?? 0] : marginShape
      positions = 1
    }
  }

  func quantize(_ latents: [Float], count: Int) throws(TesseraError) -> QuantizedLatents {
    guard case .multiScale(let scales) = quantizer else { return try quantizer.quantize(latents) }
    var codes: [UInt32] = []
    var margins: [Float] = []
    for image in 0..<count {
      let values = Array(latents[image * self.latents..<(image + 1) * self.latents])
      let grid = LatentGrid(height: scales.side, width: scales.side, values: values)
      do {
        let quantized = try scales.quantize(grid)
        codes += quantized.codes
        margins += quantized.margins
      } catch {
        throw error.moved(by: image * positions)
      }
    }
    return QuantizedLatents(codes: codes, margins: margins)
  }

  func values(of codes: [UInt32]) throws(TesseraError) -> [Float] {
    guard case .multiScale(let scales) = quantizer else { return try quantizer.values(of: codes) }
    var values: [Float] = []
    for start in stride(from: 0, to: codes.count, by: self.codes) {
      do {
        values += try scales.values(of: Array(codes[start..<start + self.codes]))
      } catch {
        throw error.moved(by: start)
      }
    }
    return values
  }
}

extension ArrayFile {
  /// Elements of any integer type as codes or digits.
  func naturals(_ elements: Range<Int>, input: String) throws -> [UInt32] {
    func mismatch(_ reason: String) -> TesseraError {
      TesseraError.mismatch(reason).in(input)
    }
    let tensor = try read(elements)
    guard let numbers = tensor.integers() else {
      throw mismatch(
        "codes are integers below 2^63, and these are \(tensor.elementType.rawValue); name the file "
          + "of codes"
      )
    }
    return try numbers.enumerated().map { index, number in
      guard let natural = UInt32(exactly: number) else {
        throw mismatch("element \(elements.lowerBound + index) is \(number), and no code is")
      }
      return natural
    }
  }
}

extension Tensor {
  /// Numbers as an unsigned type that fits each of them.
  init(narrowing numbers: [some UnsignedInteger], to type: ElementType) {
    let shape: Shape = [numbers.count]
    switch type {
    case .uint8: self.init(shape: shape, elements: numbers.map { UInt8($0) })
    case .uint16: self.init(shape: shape, elements: numbers.map { UInt16($0) })
    case .uint32: self.init(shape: shape, elements: numbers.map { UInt32($0) })
    default: self.init(shape: shape, elements: numbers.map { UInt64($0) })
    }
  }
}
