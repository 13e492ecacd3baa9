/// Looking for bytes in bytes in time linear in both, by the method of Knuth, Morris and Pratt: a text
/// of one letter and a pattern of the same would take the product otherwise.
enum ByteSearch {
  /// Where a run of bytes stands in a part of a text, from left to right, no two overlapping.
  ///
  /// - Returns: The starts; none for an empty run.
  static func places(of needle: [UInt8], in text: [UInt8], _ part: Range<Int>) -> [Int] {
    guard !needle.isEmpty, needle.count <= part.count else { return [] }
    let borders = borders(of: needle)
    var places: [Int] = []
    var matched = 0
    for index in part {
      while matched > 0, text[index] != needle[matched] { matched = borders[matched - 1] }
      if text[index] == needle[matched] { matched += 1 }
      if matched == needle.count {
        places.append(index + 1 - matched)
        matched = 0
      }
    }
    return places
  }

  /// How many bytes at the end of each beginning are also its first ones.
  private static func borders(of needle: [UInt8]) -> [Int] {
    var borders = [Int](repeating: 0, count: needle.count)
    var matched = 0
    for index in needle.indices.dropFirst() {
      while matched > 0, needle[index] != needle[matched] { matched = borders[matched - 1] }
      if needle[index] == needle[matched] { matched += 1 }
      borders[index] = matched
    }
    return borders
  }
}
