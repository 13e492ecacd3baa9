import Foundation
package import TesseraCore

/// A run of tokens of one kind, as a line of a segments file names it (`schemas/segments.schema.json`).
public enum Segment: Hashable, Sendable, Codable {
  /// Text tokens: `{"text": 4}`. Tokens that wrap an image, such as BOI and EOI, are text.
  case text(Int)
  /// The codes of one image in raster order: `{"image": [height, width]}`.
  case image(height: Int, width: Int)
  /// The codes of one video, frame by frame in raster order: `{"video": [frames, height, width]}`,
  /// with `"seconds_per_grid"` where a scheme counts seconds: the time from one grid of codes to the
  /// next.
  case video(frames: Int, height: Int, width: Int, secondsPerGrid: Double?)

  private enum Field: String, CodingKey, CaseIterable {
    case text, image, video
    case secondsPerGrid = "seconds_per_grid"
  }

  /// The number of tokens; nil where it overflows `Int`.
  public var tokenCount: Int? {
    switch self {
    case .text(let count): count
    case .image(let height, let width): [height, width].product
    case .video(let frames, let height, let width, _): [frames, height, width].product
    }
  }

  /// Whether this is a video.
  var isVideo: Bool { if case .video = self { true } else { false } }

  /// Reads one object; unknown fields, missing extents and extents below 1 are errors.
  public init(from decoder: any Decoder) throws {
    let names = try decoder.container(keyedBy: AnyName.self).allKeys.map(\.stringValue)
    let known = Field.allCases.map(\.rawValue)
    if let unknown = names.filter({ !known.contains($0) }).min() {
      throw TesseraError.mismatch("field '\(unknown)' is not known")
    }
    let kinds = names.filter { $0 != Field.secondsPerGrid.rawValue }
    guard kinds.count == 1, let kind = kinds.first.flatMap(Field.init(rawValue:)) else {
      throw TesseraError.mismatch("a segment has one of text, image and video")
    }
    guard kind == .video || names.count == 1 else {
      throw TesseraError.mismatch("seconds_per_grid belongs to a video")
    }
    let fields = try decoder.container(keyedBy: Field.self)
    switch kind {
    case .text:
      let count = try? fields.decode(Int.self, forKey: .text)
      guard let count, count >= 0 else {
        throw TesseraError.mismatch("text is not a number of tokens")
      }
      self = .text(count)
    case .image:
      let extents = try Segment.extents(fields, .image, "[height, width]", count: 2)
      self = .image(height: extents[0], width: extents[1])
    case .video, .secondsPerGrid:
      let extents = try Segment.extents(fields, .video, "[frames, height, width]", count: 3)
      self = .video(
        frames: extents[0],
        height: extents[1],
        width: extents[2],
        secondsPerGrid: try Segment.seconds(fields)
      )
    }
  }

  /// Writes the object that ``init(from:)`` reads.
  public func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Field.self)
    switch self {
    case .text(let count): try fields.encode(count, forKey: .text)
    case .image(let height, let width): try fields.encode([height, width], forKey: .image)
    case .video(let frames, let height, let width, let secondsPerGrid):
      try fields.encode([frames, height, width], forKey: .video)
      try fields.encodeIfPresent(secondsPerGrid, forKey: .secondsPerGrid)
    }
  }

  private static func extents(
    _ fields: KeyedDecodingContainer<Field>,
    _ field: Field,
    _ form: String,
    count: Int
  ) throws -> [Int] {
    let extents = try? fields.decode([Int].self, forKey: field)
    guard let extents, extents.count == count, extents.allSatisfy({ $0 >= 1 }) else {
      throw TesseraError.mismatch("\(field.rawValue) is not \(form), whole numbers from 1")
    }
    return extents
  }

  private static func seconds(_ fields: KeyedDecodingContainer<Field>) throws -> Double? {
    guard fields.contains(.secondsPerGrid) else { return nil }
    let seconds = try? fields.decode(Double.self, forKey: .secondsPerGrid)
    guard let seconds, seconds.isFinite, seconds > 0 else {
      throw TesseraError.mismatch("seconds_per_grid is not a number above 0")
    }
    return seconds
  }

  /// A field by any name, so that unknown ones are seen.
  private struct AnyName: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}

/// Documents as a segments file names them.
package enum SegmentFile {
  /// The documents of a JSON Lines file; empty lines are skipped.
  ///
  /// A line is a segment, and all lines are one document; or every line is a list of segments, and
  /// each is a document of one pack.
  ///
  /// - Parameter lines: The file.
  /// - Returns: The documents, at least one.
  /// - Throws: `TesseraError` with the line's number.
  package static func documents(parsing lines: [UInt8]) throws(TesseraError) -> [[Segment]] {
    var documents: [[Segment]] = []
    var isPack: Bool?
    let decoder = JSONDecoder()
    let all = lines.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in all.enumerated() {
      guard let first = line.first(where: { ![0x20, 0x09, 0x0D].contains($0) }) else { continue }
      let isList = first == UInt8(ascii: "[")
      guard isPack ?? isList == isList else {
        throw .malformed("segments and lists of segments in one file", place: "line \(index + 1)")
      }
      isPack = isList
      do {
        if isList {
          let document = try decoder.decode([Segment].self, from: Data(line))
          guard !document.isEmpty else { throw TesseraError.mismatch("a document without tokens") }
          documents.append(document)
        } else {
          if documents.isEmpty { documents.append([]) }
          documents[0].append(try decoder.decode(Segment.self, from: Data(line)))
        }
      } catch let error as TesseraError {
        throw .malformed(error.description, place: "line \(index + 1)")
      } catch {
        throw .malformed(
          "not a JSON object such as {\"image\": [16, 16]}",
          place: "line \(index + 1)"
        )
      }
    }
    guard !documents.isEmpty else {
      throw .malformed("the file holds no segment", place: "line 1")
    }
    return documents
  }
}

extension [Segment] {
  /// The segments of a JSON Lines file with one document, one segment per line.
  ///
  /// - Parameter lines: The file.
  /// - Throws: `TesseraError` with the line's number.
  package init(parsing lines: [UInt8]) throws(TesseraError) {
    let documents = try SegmentFile.documents(parsing: lines)
    guard documents.count == 1 else {
      throw .malformed("a second document, where one is expected", place: "line 2")
    }
    self = documents[0]
  }
}
