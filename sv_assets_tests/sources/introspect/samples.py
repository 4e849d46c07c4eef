"""Databases as people know them, in SQLite: shaped like Northwind and Chinook, with a few rows of our own."""

NORTHWIND = """
CREATE TABLE Categories (CategoryID INTEGER PRIMARY KEY, CategoryName TEXT NOT NULL, Picture BLOB);
CREATE TABLE Customers (CustomerID TEXT NOT NULL PRIMARY KEY, CompanyName TEXT, ContactName TEXT, ContactTitle TEXT,
  Address TEXT, City TEXT, Region TEXT, PostalCode TEXT, Country TEXT, Phone TEXT, Fax TEXT);
CREATE TABLE Employees (EmployeeID INTEGER PRIMARY KEY, LastName TEXT, FirstName TEXT, Title TEXT, TitleOfCourtesy TEXT,
  BirthDate DATE, HireDate DATE, Address TEXT, City TEXT, PostalCode TEXT, HomePhone TEXT, Photo BLOB, Notes TEXT,
  ReportsTo INTEGER REFERENCES Employees);
CREATE TABLE Shippers (ShipperID INTEGER PRIMARY KEY, CompanyName TEXT NOT NULL, Phone TEXT);
CREATE TABLE Suppliers (SupplierID INTEGER PRIMARY KEY, CompanyName TEXT, ContactName TEXT, Address TEXT, City TEXT,
  PostalCode TEXT, Phone TEXT);
CREATE TABLE Products (ProductID INTEGER PRIMARY KEY, ProductName TEXT NOT NULL, CategoryID INTEGER REFERENCES categories,
  SupplierID INTEGER REFERENCES Suppliers (SupplierID), UnitPrice NUMERIC, Discontinued TEXT);
CREATE TABLE Orders (OrderID INTEGER PRIMARY KEY, CustomerID TEXT, EmployeeID INTEGER REFERENCES Employees,
  OrderDate DATETIME, RequiredDate DATETIME, Freight NUMERIC, ShipName TEXT, ShipAddress TEXT, ShipCity TEXT,
  ShipPostalCode TEXT, FOREIGN KEY (CustomerID) REFERENCES Customers (CustomerID));
CREATE TABLE "Order Details" (OrderID INTEGER NOT NULL REFERENCES Orders, ProductID INTEGER NOT NULL REFERENCES Products,
  UnitPrice NUMERIC NOT NULL, Quantity INTEGER NOT NULL, Discount REAL NOT NULL, PRIMARY KEY (OrderID, ProductID));
CREATE VIEW "Order Subtotals" AS SELECT OrderID, SUM(UnitPrice * Quantity) AS Subtotal FROM "Order Details" GROUP BY OrderID;
INSERT INTO Customers VALUES ('ANATR', 'Trujillo Ltd', 'Ana Trujillo', 'Owner', '1 High St', 'Leeds', NULL, 'LS1 4AP', 'UK', '0113 496 0999', NULL);
INSERT INTO Employees VALUES (1, 'Davolio', 'Nancy', 'Clerk', 'Ms', '1968-12-08', '1992-05-01', '2 Low St', 'York', 'YO1 7HH', '01904 1', NULL, 'Sings', NULL);
INSERT INTO Categories VALUES (1, 'Drinks', x'00ff');
INSERT INTO Suppliers VALUES (1, 'Liquids', 'Carl Smith', '3 Mid St', 'Hull', 'HU1 1AA', '01482 1');
INSERT INTO Products VALUES (1, 'Chai', 1, 1, 18.5, '0');
INSERT INTO Orders VALUES (10248, 'ANATR', 1, '2024-07-04', NULL, 32.38, 'Ana', '1 High St', 'Leeds', 'LS1 4AP');
INSERT INTO "Order Details" VALUES (10248, 1, 14, 12, 0.0);
"""

CHINOOK = """
CREATE TABLE [Artist] ([ArtistId] INTEGER NOT NULL, [Name] NVARCHAR(120), CONSTRAINT [PK_Artist] PRIMARY KEY ([ArtistId]));
CREATE TABLE [Customer] ([CustomerId] INTEGER NOT NULL, [FirstName] NVARCHAR(40) NOT NULL, [LastName] NVARCHAR(20) NOT NULL,
  [Company] NVARCHAR(80), [Address] NVARCHAR(70), [City] NVARCHAR(40), [State] NVARCHAR(40), [PostalCode] NVARCHAR(10),
  [Phone] NVARCHAR(24), [Email] NVARCHAR(60) NOT NULL, [SupportRepId] INTEGER,
  CONSTRAINT [PK_Customer] PRIMARY KEY ([CustomerId]), FOREIGN KEY ([SupportRepId]) REFERENCES [Employee] ([EmployeeId]));
CREATE TABLE [Employee] ([EmployeeId] INTEGER NOT NULL, [LastName] NVARCHAR(20) NOT NULL, [FirstName] NVARCHAR(20) NOT NULL,
  [BirthDate] DATETIME, [Email] NVARCHAR(60), CONSTRAINT [PK_Employee] PRIMARY KEY ([EmployeeId]));
CREATE TABLE [Track] ([TrackId] INTEGER NOT NULL, [Name] NVARCHAR(200), [Bytes] INTEGER, PRIMARY KEY ([TrackId]));
CREATE TABLE [Invoice] ([InvoiceId] INTEGER NOT NULL, [CustomerId] INTEGER NOT NULL, [InvoiceDate] DATETIME NOT NULL,
  [BillingAddress] NVARCHAR(70), [BillingCity] NVARCHAR(40), [BillingPostalCode] NVARCHAR(10), [Total] NUMERIC(10,2) NOT NULL,
  CONSTRAINT [PK_Invoice] PRIMARY KEY ([InvoiceId]), FOREIGN KEY ([CustomerId]) REFERENCES [Customer] ([CustomerId]));
CREATE TABLE [InvoiceLine] ([InvoiceLineId] INTEGER NOT NULL, [InvoiceId] INTEGER NOT NULL, [TrackId] INTEGER NOT NULL,
  [UnitPrice] NUMERIC(10,2) NOT NULL, [Quantity] INTEGER NOT NULL, CONSTRAINT [PK_InvoiceLine] PRIMARY KEY ([InvoiceLineId]),
  FOREIGN KEY ([InvoiceId]) REFERENCES [Invoice] ([InvoiceId]), FOREIGN KEY ([TrackId]) REFERENCES [Track] ([TrackId]));
INSERT INTO Customer VALUES (1, 'Leonie', 'Koehler', NULL, '4 Hay St', 'Bath', NULL, 'BA1 1AA', '01225 1', 'leonie@example.org', NULL);
INSERT INTO Invoice VALUES (1, 1, '2024-01-01 00:00:00', '4 Hay St', 'Bath', 'BA1 1AA', 1.98);
INSERT INTO Track VALUES (2, 'Balls to the Wall', 5510424);
INSERT INTO InvoiceLine VALUES (1, 1, 2, 0.99, 2);
"""
