/// The bytes of a region, read forward through a small window.
package struct ByteInput {
  package let region: FileRegion
  /// Where the next byte lies in the region.
  package private(set) var position: Int
  /// Where reading stops.
  package let end: Int
  /// What is read, for messages.
  package let what: String
  private var window: [UInt8] = []
  private var windowStart = 0

  private static let windowSize = 1 << 15

  /// Reads a range of a region, or all that follows `start`.
  package init(region: FileRegion, from start: Int = 0, to end: Int? = nil, what: String) {
    (self.region, self.what) = (region, what)
    self.end = min(end ?? region.length, region.length)
    position = start
  }

  /// How many bytes are left.
  package var remaining: Int { end - position }

  package func refusal(_ cause: String, at place: Int? = nil) -> TesseraError {
    let place = "\(what) byte \(place ?? position)"
    return TesseraError.malformed(cause, file: region.name, place: place)
  }

  package mutating func byte() throws -> UInt8 {
    let offset = position - windowStart
    if offset < 0 || offset >= window.count {
      guard remaining > 0 else { throw refusal("ends too early: it is cut short") }
      let count = min(ByteInput.windowSize, remaining)
      window = try region.bytes(position..<position + count)
      windowStart = position
    }
    let value = window[position - windowStart]
    position += 1
    return value
  }

  /// Passes over bytes and returns where they lie.
  package mutating func skip(_ count: Int) throws -> Range<Int> {
    guard count <= remaining else {
      throw refusal("claims \(count) bytes where \(remaining) are left: it is cut short")
    }
    let start = position
    position += count
    return start..<position
  }

  package mutating func bytes(_ count: Int) throws -> [UInt8] {
    let start = position
    let range = try skip(count)
    let offset = start - windowStart
    if offset >= 0, offset + count <= window.count {
      return Array(window[offset..<offset + count])
    }
    return try region.bytes(range)
  }

  /// The little-endian bits of `width` bytes, at most 8.
  package mutating func bits(width: Int) throws -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<width { value |= UInt64(try byte()) << UInt64(8 * index) }
    return value
  }

  /// The big-endian bits of `width` bytes, at most 8.
  package mutating func bigEndianBits(width: Int) throws -> UInt64 {
    var value: UInt64 = 0
    for _ in 0..<width { value = value << 8 | UInt64(try byte()) }
    return value
  }

  /// A little-endian number of `width` bytes that fits `Int`: a length or a count.
  package mutating func number(width: Int) throws -> Int {
    let value = try bits(width: width)
    guard let number = Int(exactly: value) else {
      throw refusal("the number \(value) is no length")
    }
    return number
  }

  /// A text of a number of bytes; UTF-8.
  package mutating func text(_ count: Int) throws -> String {
    let start = position
    guard let text = String(validating: try bytes(count), as: UTF8.self) else {
      throw refusal("a text that is not UTF-8", at: start)
    }
    return text
  }

  /// A text up to the next line feed, at most `limit` bytes.
  package mutating func line(limit: Int = 1 << 16) throws -> [UInt8] {
    var line: [UInt8] = []
    while true {
      let next = try byte()
      if next == 0x0A { return line }
      guard line.count < limit else { throw refusal("a line that is too long") }
      line.append(next)
    }
  }
}
