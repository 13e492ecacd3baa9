import TesseraCore

/// `quantize --reindex`: one file of codes to the same codes under other numbers.
package struct ReindexRun {
  private let specification: QuantizerSpecification
  private let quantizer: Quantizer
  private let steps: [String]
  private let isInverse: Bool
  private let input: String
  private let file: ArrayFile
  private let output: String
  /// Files that must not be written over.
  private let inputs: [String]

  /// Opens the quantizer and the file.
  ///
  /// - Parameters:
  ///   - input: Codes (.npy).
  ///   - quantizerFile: The quantizer's JSON file.
  ///   - output: The file to write (.npy).
  ///   - steps: The steps in order, such as `offset:8192`.
  ///   - isInverse: Whether the steps are undone.
  /// - Throws: `TesseraError`, naming the file.
  package init(
    _ input: String,
    quantizerFile: String,
    output: String,
    steps: [String],
    isInverse: Bool
  ) throws {
    (specification, quantizer) = try QuantizerFile.open(quantizerFile)
    file = try ArrayFile(path: input)
    inputs = [input, quantizerFile]
    (self.input, self.output, self.steps, self.isInverse) = (input, output, steps, isInverse)
  }

  private static let block = 1 << 18

  /// Converts the file.
  ///
  /// - Throws: `TesseraError`, naming the file.
  package func run() throws -> QuantizeSummary {
    try checkOrder()
    var files = AtomicFileSet()
    var named = inputs
    let parsed = try parsedSteps(&named, &files)
    let plan = try TesseraError.naming(input) {
      try CodeReindexing(parsed, vocabularySize: quantizer.vocabularySize)
    }
    let size = isInverse ? plan.vocabularies.before : plan.vocabularies.after
    let type = ElementType.unsigned(holding: size)
    guard let header = NPYHeader(elementType: type, shape: file.header.shape),
      let encoded = header.encoded, let count = file.header.shape.elementCount
    else { throw problem("the result is larger than a file can be") }
    var written = try AtomicFile(path: output, reading: named)
    try written.write(encoded)
    try forEachBlock(of: count) { codes, start in
      let result = try TesseraError.naming(input, from: start) { () throws(TesseraError) in
        isInverse ? try plan.undo(codes) : try plan.apply(codes)
      }
      try written.write(Tensor(narrowing: result, to: type).bytes)
    }
    try files.commit(with: written)
    return QuantizeSummary(
      quantizer: specification,
      vocabularies: [Int(size)],
      positions: count / quantizer.codesPerPosition,
      used: nil,
      minMargin: nil,
      marginUnit: nil,
      dtype: String(describing: type),
      shape: file.header.shape.dimensions
    )
  }

  /// The steps in order; `named` takes the files that they read, `files` the lists that they collect.
  private func parsedSteps(
    _ named: inout [String],
    _ files: inout AtomicFileSet
  ) throws -> [CodeReindexing.Step] {
    var parsed: [CodeReindexing.Step] = []
    for step in steps {
      guard let path = Self.list(collectedBy: step) else {
        if let step = try parse(step, &named) { parsed.append(step) }
        continue
      }
      guard !isInverse else {
        throw problem("collect makes a new list; name the list with compact: to go back")
      }
      let map = try collected(through: parsed)
      var written = try AtomicFile(path: path, reading: named)
      let array = Tensor(shape: [map.codes.count], elements: map.codes)
      try written.write(try NPYFile.encode(array))
      try files.add(written)
      parsed.append(.compact(map))
    }
    return parsed
  }

  /// The file in which a step collects a list; nil for other steps.
  package static func list(collectedBy step: String) -> String? { step.value(of: "collect") }

  /// The file's codes, a block at a time, with the place of each block's first.
  private func forEachBlock(of count: Int, _ body: ([UInt64], Int) throws -> Void) throws {
    for start in stride(from: 0, to: count, by: Self.block) {
      try body(try numbers(start..<min(count, start + Self.block)), start)
    }
  }

  /// Digits are those of the quantizer's own codes: numbers that another step gave have none.
  private func checkOrder() throws {
    for step in steps.dropFirst()
    where step.value(of: "order") != nil || step.value(of: "to") != nil {
      throw problem("--reindex \(step): only the quantizer's own codes have digits; name it first")
    }
  }

  private func parse(_ step: String, _ inputs: inout [String]) throws -> CodeReindexing.Step? {
    if let word = step.value(of: "order") {
      guard let order = BinaryQuantizer.Order(rawValue: word) else {
        throw problem("--reindex \(step): an order is little or big")
      }
      return try TesseraError.naming(input) { try specification.step(to: order) }
    }
    if let number = step.value(of: "offset") {
      guard let offset = Int(number), (-(1 << 52)...1 << 52).contains(offset) else {
        throw problem("--reindex \(step): an offset is a whole number of at most 2^52")
      }
      return .offset(offset)
    }
    if let path = step.value(of: "compact") {
      inputs.append(path)
      return .compact(try TesseraError.naming(path) { try CompactMap(list(path)) })
    }
    if let path = step.value(of: "to") {
      inputs.append(path)
      let json = try TextFile.bytes(of: path, maximumBytes: ReadLimit.description)
      let other = try TesseraError.naming(path) { try QuantizerSpecification(parsing: json) }
      return try TesseraError.naming(input) { try specification.step(to: other) }
    }
    throw problem(
      "--reindex \(step): known steps are order:little|big, offset:N, compact:LIST.npy, "
        + "collect:LIST.npy, to:QUANTIZER.json"
    )
  }

  /// The codes of a list, as taming's `used` files hold them.
  private func list(_ path: String) throws -> [UInt64] {
    let file = try ArrayFile(path: path)
    guard let count = file.header.shape.elementCount, count <= CompactMap.largestCount,
      let numbers = try file.read(0..<count).integers(), numbers.allSatisfy({ $0 >= 0 })
    else { throw TesseraError.mismatch("not a list of at most 2^24 codes: whole numbers from 0") }
    return numbers.map { UInt64($0) }
  }

  /// The codes that occur after some steps, ascending.
  private func collected(through steps: [CodeReindexing.Step]) throws -> CompactMap {
    let plan = try TesseraError.naming(input) {
      try CodeReindexing(steps, vocabularySize: quantizer.vocabularySize)
    }
    var found: Set<UInt64> = []
    try forEachBlock(of: file.header.shape.elementCount ?? 0) { codes, start in
      found.formUnion(
        try TesseraError.naming(input, from: start) { () throws(TesseraError) in
          try plan.apply(codes)
        }
      )
      guard found.count <= CompactMap.largestCount else {
        throw problem("more than 2^24 different codes")
      }
    }
    return try TesseraError.naming(input) { try CompactMap(found.sorted()) }
  }

  private func numbers(_ elements: Range<Int>) throws -> [UInt64] {
    let tensor = try file.read(elements)
    guard let numbers = tensor.integers() else {
      throw problem(
        "codes are integers below 2^63, and these are \(tensor.elementType.rawValue); name the file "
          + "of codes"
      )
    }
    return try numbers.enumerated().map { index, number in
      guard number >= 0 else {
        throw problem("element \(elements.lowerBound + index) is \(number), and no code is")
      }
      return UInt64(number)
    }
  }

  private func problem(_ reason: String) -> TesseraError {
    TesseraError.mismatch(reason).in(input)
  }
}

extension String {
  /// What follows `name:`.
  fileprivate func value(of name: String) -> String? {
    hasPrefix(name + ":") ? String(dropFirst(name.count + 1)) : nil
  }
}
