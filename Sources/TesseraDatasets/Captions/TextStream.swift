import TesseraCore

/// The bytes of a text file in order, a window of it at a time.
struct TextStream {
  private let file: FileRegion
  private var window: [UInt8]
  private var position = 0
  /// Where the next window begins in the file.
  private var offset: Int

  private static let windowSize = 1 << 18

  /// Opens a file; a byte order mark is passed over.
  ///
  /// - Throws: `TesseraError` where it cannot be read, and for text of 16 or 32 bits.
  init(path: String) throws {
    file = try FileRegion(path: path)
    offset = min(Self.windowSize, file.length)
    window = try TextFile.unmarked(file.bytes(0..<offset), from: path)
  }

  /// The next byte, which stays the next one; nil at the end.
  mutating func peek() throws -> UInt8? {
    if position == window.count {
      guard offset < file.length else { return nil }
      let end = min(offset + Self.windowSize, file.length)
      window = try file.bytes(offset..<end)
      offset = end
      position = 0
    }
    return window[position]
  }

  /// Takes the next byte; nil at the end.
  mutating func next() throws -> UInt8? {
    let byte = try peek()
    if byte != nil { position += 1 }
    return byte
  }

  /// Takes the bytes up to a line feed, which goes with them but is not among them; nil at the end.
  ///
  /// - Parameter most: How many bytes a line may have.
  /// - Returns: The bytes; one more than `most` of a longer line.
  /// - Throws: `TesseraError` where the file cannot be read.
  mutating func line(most: Int) throws -> [UInt8]? {
    guard try peek() != nil else { return nil }
    var line: [UInt8] = []
    while line.count <= most, try peek() != nil {
      let rest = window[position...]
      let end = rest.firstIndex(of: UInt8(ascii: "\n"))
      line += rest[..<(end ?? rest.endIndex)].prefix(most + 1 - line.count)
      position = end.map { $0 + 1 } ?? rest.endIndex
      if end != nil { break }
    }
    return line
  }
}

/// Rows of fields between delimiters, quoted as RFC 4180 has it; one row is held at a time.
struct DelimitedRows {
  /// The line on which the row begins, from 1.
  private(set) var line = 0
  /// Whether the row ends in a quoted field that nothing closes.
  private(set) var isCut = false
  /// Whether the row is longer than any that is read.
  private(set) var isTooLong = false

  private var stream: TextStream
  private let delimiter: UInt8
  private var nextLine = 1
  private var bytes: [UInt8] = []
  /// Where each field ends.
  private var ends: [Int] = []

  /// The most bytes of a row.
  static let longest = 1 << 26

  init(path: String, delimiter: UInt8) throws {
    stream = try TextStream(path: path)
    self.delimiter = delimiter
  }

  /// The number of fields of the row.
  var count: Int { ends.count }
  /// Whether the row is an empty line.
  var isEmpty: Bool { ends == [0] }

  /// A field of the row; nil where it is not UTF-8.
  func field(_ index: Int) -> String? {
    String(validating: bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]], as: UTF8.self)
  }

  /// Reads the next row; false at the end.
  mutating func next() throws -> Bool {
    guard try stream.peek() != nil else { return false }
    line = nextLine
    bytes.removeAll(keepingCapacity: true)
    ends.removeAll(keepingCapacity: true)
    var isQuoted = false
    var start = 0
    while !isTooLong, let byte = try stream.next() {
      if byte == UInt8(ascii: "\n") { nextLine += 1 }
      if isQuoted {
        if byte != UInt8(ascii: "\"") {
          bytes.append(byte)
        } else if try stream.peek() == byte {
          bytes.append(byte)
          _ = try stream.next()
        } else {
          isQuoted = false
        }
      } else if byte == UInt8(ascii: "\""), bytes.count == start {
        isQuoted = true
      } else if byte == delimiter {
        ends.append(bytes.count)
        start = bytes.count
      } else if byte == UInt8(ascii: "\n") {
        break
      } else {
        bytes.append(byte)
      }
      isTooLong = bytes.count > Self.longest || ends.count > Self.longest
    }
    if bytes.count > start, bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
    ends.append(bytes.count)
    isCut = isQuoted
    return true
  }
}
