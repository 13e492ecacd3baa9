/// What the head of a .npy file says (numpy's `format.py`, versions 1.0, 2.0 and 3.0).
///
/// A header is read strictly: the three keys once each, a shape of plain numbers, and an element
/// type from a fixed list. Strings, structures and pickled objects are refused by name.
package struct NPYHeader: Hashable, Sendable {
  /// The type of the elements.
  package let elementType: ElementType
  /// The extents, outermost first; at most 64 axes.
  package let shape: Shape
  /// Whether elements of more than one byte are stored big-endian.
  package let isBigEndian: Bool
  /// Whether the file is column-major: the first index changes fastest.
  package let isFortranOrder: Bool
  /// Where the elements start, in bytes from the start of the file.
  package let dataOffset: Int
  /// The bytes that the elements take.
  package let dataByteCount: Int

  /// As many leading bytes of a file as any header that is accepted can need.
  package static let longestPrefix = 12 + longestText
  /// The longest dictionary accepted, in bytes: what version 1.0 can express.
  private static let longestText = 65_535

  /// Creates the header that numpy's `save` writes for a C-ordered array.
  ///
  /// - Returns: nil for an element type that .npy has no name for, and where the size overflows.
  package init?(elementType: ElementType, shape: Shape) {
    guard let count = shape.elementCount, shape.rank <= 64,
      let byteCount = elementType.byteCount(elements: count),
      let text = NPYHeader.text(elementType: elementType, shape: shape)
    else { return nil }
    (self.elementType, self.shape) = (elementType, shape)
    isBigEndian = false
    isFortranOrder = false
    dataOffset = 10 + text.utf8.count
    dataByteCount = byteCount
  }

  /// Parses the header at the start of `prefix`, which holds at least the header.
  ///
  /// - Parameters:
  ///   - prefix: The file's first `longestPrefix` bytes, or all of a shorter file, or more.
  ///   - source: The file's name for messages.
  ///   - rawType: What elements of raw bytes (`|V2`) of the same width are; nil refuses them.
  /// - Throws: An `TesseraError` for every header that is not exactly an array's.
  package init(
    parsing prefix: [UInt8],
    from source: String,
    rawAs rawType: ElementType? = nil
  ) throws(TesseraError) {
    func refuse(_ place: String, _ reason: String) -> TesseraError {
      TesseraError.malformed(reason, file: source, place: "npy \(place)")
    }
    guard prefix.starts(with: [0x93] + Array("NUMPY".utf8)) else {
      throw refuse("magic", "the file does not begin with \\x93NUMPY; write it with numpy.save")
    }
    guard prefix.count >= 10 else { throw refuse("header", "the file ends inside it") }
    let version = (major: prefix[6], minor: prefix[7])
    guard (1...3).contains(version.major), version.minor == 0 else {
      throw refuse("magic", "version \(version.major).\(version.minor) is not 1.0, 2.0 or 3.0")
    }
    let textOffset = version.major == 1 ? 10 : 12
    guard prefix.count >= textOffset else { throw refuse("header", "the file ends inside it") }
    // Little-endian, two bytes in version 1.0 and four after it.
    let textCount = prefix[8..<textOffset].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard textCount <= NPYHeader.longestText else {
      throw refuse("header", "\(textCount) bytes long, and no array needs 65535")
    }
    guard prefix.count >= textOffset + textCount else {
      throw refuse("header", "the file ends inside it")
    }
    var dictionary = NPYDictionary(
      text: prefix[textOffset..<textOffset + textCount],
      rawType: rawType
    )
    do {
      try dictionary.parse()
    } catch {
      throw error.in(source)
    }
    guard let count = dictionary.shape.elementCount,
      let byteCount = dictionary.elementType.byteCount(elements: count),
      byteCount <= Int.max - textOffset - textCount
    else { throw refuse("shape", "\(dictionary.shape) takes more bytes than a file can have") }

    elementType = dictionary.elementType
    shape = dictionary.shape
    isBigEndian = dictionary.isBigEndian
    isFortranOrder = dictionary.isFortranOrder
    dataOffset = textOffset + textCount
    dataByteCount = byteCount
  }

  /// Checks that a file of `fileByteCount` bytes holds the elements and nothing after them.
  package func check(fileByteCount: Int, from source: String) throws(TesseraError) {
    let present = fileByteCount - dataOffset
    guard present != dataByteCount else { return }
    let difference =
      present < dataByteCount
      ? "the file is cut short or damaged" : "the file has something else behind the array"
    throw TesseraError.malformed(
      "\(shape) of \(elementType.rawValue) takes \(dataByteCount) bytes and \(present) "
        + "are there: \(difference)",
      file: source,
      place: "npy data"
    )
  }

  /// The bytes that numpy's `save` writes before the elements, version 1.0; nil where this header
  /// was read from a file of another order.
  package var encoded: [UInt8]? {
    guard !isBigEndian, !isFortranOrder,
      let text = NPYHeader.text(elementType: elementType, shape: shape)
    else { return nil }
    let count = text.utf8.count
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(count & 0xFF), UInt8(count >> 8)]
      + Array(text.utf8)
  }

  /// The dictionary with its padding: data start at a multiple of 64, and numpy leaves room for the
  /// first extent to grow to 21 digits in place.
  private static func text(elementType: ElementType, shape: Shape) -> String? {
    guard let descriptor = descriptor(of: elementType) else { return nil }
    let extents = shape.dimensions.map(String.init).joined(separator: ", ")
    let tuple = shape.rank == 1 ? "(\(extents),)" : "(\(extents))"
    var text = "{'descr': '\(descriptor)', 'fortran_order': False, 'shape': \(tuple), }"
    if let first = shape.dimensions.first {
      text += String(repeating: " ", count: 21 - String(first).utf8.count)
    }
    let unpadded = 10 + text.utf8.count + 1
    return text + String(repeating: " ", count: 64 - unpadded % 64) + "\n"
  }

  /// numpy's name of a little-endian type, such as `<f4`; nil for types that numpy does not have.
  private static func descriptor(of elementType: ElementType) -> String? {
    guard let kind = NPYDictionary.kinds.first(where: { $0.value == elementType })?.key else {
      return nil
    }
    return (elementType.bitWidth == 8 ? "|" : "<") + kind
  }
}
