import Fixtures
import Foundation
import TesseraCore
import TesseraSequences
import Testing

/// A layout of ids alone: begin 1, end 2, image 3 … 4, ends of rows 5, codes from 10.
private func makeLayout(_ policy: SequenceLayout.EndOfLine.Policy? = nil) throws -> SequenceLayout {
  var layout = SequenceLayout(name: "test", codes: .offset(10))
  layout.beginOfDocument = [.id(1)]
  layout.endOfDocument = [.id(2)]
  layout.pad = .id(0)
  layout.beginOfImage = [.id(3)]
  layout.endOfImage = [.id(4)]
  if let policy {
    let line = Data("{\"token\": 5, \"policy\": \"\(policy.rawValue)\"}".utf8)
    layout.endOfLine = try JSONDecoder().decode(SequenceLayout.EndOfLine.self, from: line)
  }
  return layout
}

private let image = DocumentPart.image(codes: [0, 1, 2, 3, 4, 5], height: 2, width: 3)

private func makeBuilder(
  _ layout: SequenceLayout,
  codes: Int = 6,
  scheme: PositionScheme.Name? = nil
) throws -> SequenceBuilder {
  try SequenceBuilder(
    layout,
    tokenizer: nil,
    codeCount: codes,
    scheme: scheme.map { try PositionScheme($0) }
  )
}

@Suite struct SequenceBuilderTests {
  @Test func `codes stand between the marks, and the grid knows its place`() throws {
    var builder = try makeBuilder(makeLayout())
    let sequence = try builder.sequence(of: [image])
    #expect(sequence.ids == [1, 3, 10, 11, 12, 13, 14, 15, 4, 2])
    #expect(sequence.kinds == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0])
    #expect(sequence.spans.map(\.start) == [2] && sequence.spans.map(\.count) == [6])
    #expect(sequence.grids.map(\.height) == [2] && sequence.grids.map(\.width) == [3])
    #expect(sequence.documentEnds == [10] && sequence.textPositions == Array(0..<10))
    #expect(builder.vocabularySize == 16 && builder.pad == 0)
  }

  @Test(arguments: [(SequenceLayout.EndOfLine.Policy.every, 2), (.between, 1)])
  func `rows end as the policy says`(_ policy: SequenceLayout.EndOfLine.Policy, _ ends: Int) throws
  {
    var builder = try makeBuilder(makeLayout(policy), scheme: .mrope)
    let sequence = try builder.sequence(of: [image])
    #expect(sequence.ids.count { $0 == 5 } == ends)
    #expect(sequence.spans[0].count == 6 + ends)
    // An end stands in the column behind the codes, whether the last row has one or not.
    let columns = sequence.positions[2][2..<8 + ends].map { Int($0) }
    #expect(columns == [2, 3, 4, 5, 2, 3, 4] + (ends == 2 ? [5] : []))
    #expect(sequence.positions[2][8 + ends] == 6)
  }

  @Test(arguments: [
    (SequenceLayout.Loss.all, [1, 3, 10, 11, 12, 13, 14, 15, 4, 2]),
    (.codes, [-100, -100, 10, 11, 12, 13, 14, 15, -100, -100]),
    (.image, [-100, 3, 10, 11, 12, 13, 14, 15, 4, -100]),
    (.text, [1, -100, -100, -100, -100, -100, -100, -100, -100, 2]),
    (.completion, [-100, 3, 10, 11, 12, 13, 14, 15, 4, 2]),
  ])
  func `labels are what is learned`(_ loss: SequenceLayout.Loss, _ labels: [Int32]) throws {
    var layout = try makeLayout()
    layout.loss = loss
    var builder = try makeBuilder(layout)
    #expect(try builder.sequence(of: [image]).labels == labels)
  }

  @Test func `codes of a space of their own leave placeholders`() throws {
    var layout = try makeLayout()
    layout.codes = .separate(placeholder: .id(9))
    var builder = try makeBuilder(layout)
    let sequence = try builder.sequence(of: [image])
    #expect(sequence.ids == [1, 3, 9, 9, 9, 9, 9, 9, 4, 2])
    #expect(sequence.imageCodes == [0, 1, 2, 3, 4, 5])
  }

  @Test func `a table gives each code its id`() throws {
    var layout = try makeLayout()
    layout.codes = .table([90, 80, 70, 60, 50, 40])
    var builder = try makeBuilder(layout)
    #expect(try builder.sequence(of: [image]).ids[2..<8] == [90, 80, 70, 60, 50, 40])
    #expect(builder.vocabularySize == 91)
  }

  @Test func `what does not fit is refused before or with its document`() throws {
    #expect(throws: TesseraError.self) { try makeBuilder(makeLayout(), codes: Int(Int32.max)) }
    var short = try makeLayout()
    short.codes = .table([1, 2])
    #expect(throws: TesseraError.self) { try makeBuilder(short) }
    var small = try makeLayout()
    small.vocabularySize = 12
    #expect(throws: TesseraError.self) { try makeBuilder(small) }
    var named = try makeLayout()
    named.beginOfImage = [.name("<image>")]
    #expect(throws: TesseraError.self) { try makeBuilder(named) }

    // A code beyond the tokenizer's is the dataset's fault; a text without tokenizer the layout's.
    var builder = try makeBuilder(makeLayout())
    for (part, isDocumentFault) in [
      (DocumentPart.image(codes: [6], height: 1, width: 1), false),
      (.image(codes: [-1], height: 1, width: 1), false),
      (.image(codes: [0, 1], height: 1, width: 1), true), (.text("a"), false),
    ] {
      let error = #expect(throws: TesseraError.self) { try builder.sequence(of: [part]) }
      #expect((error?.detail == .document) == isDocumentFault)
    }
  }

  @Test func `ids of a configuration name codes and marks`() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      Array(
        #"{"vocabulary_map": {"<b>": 7, "IMGIMGAZ": 30, "IMGIMGBAZ": 2, "IMGIMGBZ": 31}}"#.utf8
      ),
      to: "config.json"
    )
    var layout = SequenceLayout(
      name: "named",
      codes: .names(prefix: "IMGIMG", suffix: "Z", letters: true)
    )
    layout.beginOfImage = [.name("<b>")]
    func builder(_ codes: Int) throws -> SequenceBuilder {
      try SequenceBuilder(
        layout,
        tokenizer: nil,
        codeCount: codes,
        scheme: nil,
        vocabulary: VocabularyMap(path: path)
      )
    }
    var two = try builder(2)
    let part = DocumentPart.image(codes: [1, 0], height: 1, width: 2)
    #expect(try two.sequence(of: [part]).ids == [7, 31, 30])
    #expect(two.vocabularySize == 32)
    #expect(throws: TesseraError.self) { try builder(3) }
    _ = try folder.write(Array(#"{"vocabulary_map": {"a": 1, "b": 1}}"#.utf8), to: "config.json")
    #expect(throws: TesseraError.self) { try VocabularyMap(path: path) }
  }

  @Test func `every layout of a model is written and read back as JSON`() throws {
    for layout in SequenceLayout.models {
      let data = try JSONEncoder().encode(layout)
      #expect(try JSONDecoder().decode(SequenceLayout.self, from: data) == layout)
      #expect(try SequenceLayout(naming: layout.name) == layout)
    }
    #expect(throws: TesseraError.self) { try SequenceLayout(naming: "no/such/layout.json") }
  }
}

@Suite struct SequencePackerTests {
  /// A document of so many equal ids.
  func document(_ count: Int, _ id: Int32) throws -> TokenSequence {
    var builder = try SequenceBuilder(
      SequenceLayout(name: "plain", codes: .offset(Int(id))),
      tokenizer: nil,
      codeCount: 1,
      scheme: PositionScheme(.rope1d)
    )
    let codes = [Int](repeating: 0, count: count)
    return try builder.sequence(of: [.image(codes: codes, height: 1, width: count)])
  }

  func rows(
    _ packing: SequencePacking,
    _ sizes: [Int],
    length: Int
  ) throws -> [SequencePacker.Row] {
    var packer = try SequencePacker(packing, length: length, pad: 0)
    var rows: [SequencePacker.Row] = []
    for (index, size) in sizes.enumerated() {
      try packer.add(document(size, Int32(index + 1)), key: "\(index + 1)") { rows.append($0) }
    }
    try packer.finish { rows.append($0) }
    return rows
  }

  @Test func `documents behind each other are cut where the row ends`() throws {
    let rows = try rows(.concatenate, [3, 4, 2], length: 4)
    #expect(rows.map(\.sequence.ids) == [[1, 1, 1, 2], [2, 2, 2, 3], [3]])
    #expect(rows.map(\.keys) == [["1", "2"], ["2", "3"], ["3"]])
    #expect(rows.map(\.sequence.documentEnds) == [[3, 4], [3, 4], [1]])
    // What is left of a document begins at 0, as attention over a row without padding has to find it.
    #expect(rows.map(\.sequence.textPositions) == [[0, 1, 2, 0], [0, 1, 2, 0], [0]])
    let ignored = TokenSequence.ignored
    #expect(
      rows.map(\.sequence.labels) == [
        [ignored, 1, 1, ignored], [ignored, 2, 2, ignored], [ignored],
      ]
    )
    // The ids of positions are the document's own, wherever it is cut.
    #expect(rows.map(\.sequence.positions) == [[[0, 1, 2, 0]], [[1, 2, 3, 0]], [[1]]])
  }

  @Test func `the row that a document fills best takes it, and none is cut`() throws {
    let rows = try rows(.bestFit, [5, 6, 4, 3, 2], length: 9)
    #expect(rows.map(\.keys) == [["1", "3"], ["2", "4"], ["5"]])
    #expect(rows.map(\.sequence.documentEnds) == [[5, 9], [6, 9], [2]])
    // Positions begin anew in each document.
    #expect(rows[0].sequence.textPositions == [0, 1, 2, 3, 4, 0, 1, 2, 3])
    let positions = rows[0].sequence.positions[0]
    #expect(positions.prefix(4).elementsEqual(positions.suffix(4)))
    #expect(rows[0].sequence.spans.map(\.start) == [0, 5])
    let ignored = TokenSequence.ignored
    #expect(rows[0].sequence.labels == [ignored, 1, 1, 1, 1, ignored, 3, 3, 3])
  }

  @Test func `rows of a fixed length are filled with a pad that is not learned`() throws {
    let rows = try rows(.fixed, [2, 3], length: 3)
    #expect(rows.map(\.sequence.ids) == [[1, 1, 0], [2, 2, 2]])
    #expect(rows[0].sequence.labels == [1, 1, -100])
    #expect(rows[0].sequence.documentEnds == [2])
  }

  @Test func `a document longer than a row is at fault alone`() throws {
    for packing in [SequencePacking.bestFit, .fixed, .none] {
      let error = #expect(throws: TesseraError.self) { try rows(packing, [4], length: 3) }
      #expect(error?.detail == .document)
    }
    #expect(try rows(.concatenate, [7], length: 3).map(\.sequence.ids.count) == [3, 3, 1])
  }

  @Test func `a length and a pad are needed where rows have one`() throws {
    #expect(throws: TesseraError.self) { try SequencePacker(.bestFit, length: nil, pad: 0) }
    #expect(throws: TesseraError.self) { try SequencePacker(.fixed, length: 3, pad: nil) }
  }

  @Test func `many open rows stay bounded and every document comes out once`() throws {
    let sizes = (0..<300).map { 51 + $0 % 49 }
    let rows = try rows(.bestFit, sizes, length: 100)
    #expect(rows.flatMap(\.keys).sorted() == (1...300).map(String.init).sorted())
    #expect(rows.allSatisfy { $0.sequence.ids.count <= 100 })
  }
}
